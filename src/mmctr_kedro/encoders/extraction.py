"""Items through an encoder, shard by shard, each content once and never twice.

``extract`` streams: what is in memory is a shard and a batch or two, however many items there are. Content that the
store has from an earlier run, by this encoder, is not encoded again. N items.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mmctr_kedro.common.progress import Progress
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.images import Refused, decoded_batches
from mmctr_kedro.encoders import IMAGE_ENCODERS, TEXT_ENCODERS
from mmctr_kedro.encoders.base import threads_or_all
from mmctr_kedro.encoders.settings import ImageEncoderParams, TextEncoderParams
from mmctr_kedro.encoders.store import VectorStore, content_key

TEXTS_AT_A_TIME = 16  # batches: enough to group texts of like length, few enough to show progress


class Encoded(NamedTuple):
    """A batch that went through an encoder."""

    keys: list[bytes]  # of the n contents that have a vector
    vectors: np.ndarray  # [n, width] float32
    refused: dict[bytes, Refused]  # of those that have none, and why


class Extracted(NamedTuple):
    """What became of N items."""

    vectors: np.ndarray  # [N + 1, width] float32; row 0, and rows of items without a vector, are zeros
    refused: dict[int, Refused]  # by item id, those without a vector


class Job:
    """One modality of the items and the encoder for it. The encoder is loaded with the first content it is given.

    A job says how to ``read`` items, each with key and content (without content the key is None), and how to ``encode``
    keys and contents a batch at a time.
    """

    what: ClassVar[str]  # the items' name in log lines
    reads: ClassVar[str]  # the modality
    encoders: ClassVar[dict[str, type[Any]]]  # those to choose from
    anywhere = True  # any item can be read without those before it

    def __init__(self, params: Any, texts: Sequence[str]) -> None:
        """``texts[i]`` belongs to item i + 1."""
        self.params, self.texts = params, texts
        self.encoder_type = self.encoders[params.name]

    @cached_property
    def encoder(self) -> Any:
        from mmctr_kedro.common.machine import float32

        with float32():
            return self.encoder_type(self.params)

    def identity(self) -> dict[str, Any]:
        """All that decides a content's vector."""
        return {"encoder": self.params.name, "reads": self.reads, **self.encoder_type.identity(self.params)}


class TitleJob(Job):
    """Texts by item id; an empty one is no content."""

    what, reads, encoders = "titles", "text", TEXT_ENCODERS
    params: TextEncoderParams

    def read(self, item_ids: np.ndarray) -> Iterator[tuple[int, bytes | None, str]]:
        for item in item_ids.tolist():
            text = self.texts[item - 1]
            yield item, content_key(text.encode("utf-8", "surrogatepass")) if text else None, text

    def encode(self, contents: Iterable[tuple[bytes, Any]]) -> Iterator[Encoded]:
        stream = iter(contents)
        while chunk := list(islice(stream, TEXTS_AT_A_TIME * self.params.batch_size)):
            keys, texts = zip(*chunk, strict=True)
            yield Encoded(list(keys), self.encoder.encode(texts), {})


class CoverJob(Job):
    """Covers by item id, and the item's text for an encoder that reads both."""

    what, reads, encoders = "covers", "image", IMAGE_ENCODERS
    params: ImageEncoderParams

    def __init__(self, params: ImageEncoderParams, covers: Covers, texts: Sequence[str]) -> None:
        super().__init__(params, texts)
        self.covers, self.anywhere = covers, covers.anywhere

    def read(self, item_ids: np.ndarray) -> Iterator[tuple[int, bytes | None, tuple[bytes | None, str]]]:
        for item, data in self.covers.read(item_ids):
            text = self.texts[item - 1] if self.encoder_type.reads_text else ""
            key = None if data is None else content_key(data, text.encode("utf-8", "surrogatepass"))
            yield item, key, (data, text)

    def encode(self, contents: Iterable[tuple[bytes, Any]]) -> Iterator[Encoded]:
        stream = (((key, text), data) for key, (data, text) in contents)
        if (first := next(stream, None)) is None:
            return  # and the encoder is not loaded
        params, encoder, threads = self.params, self.encoder, threads_or_all(self.params.threads)
        for batch in decoded_batches(
            chain([first], stream), encoder.side, params.smallest_side, params.batch_size, threads
        ):
            refused = {key: image for (key, _), image in batch if isinstance(image, Refused)}
            fit = [(key, text, image) for (key, text), image in batch if not isinstance(image, Refused)]
            vectors = np.zeros((0, encoder.width), dtype=np.float32)
            if fit:
                vectors = encoder.encode(np.stack([image for *_, image in fit]), [text for _, text, _ in fit])
            yield Encoded([key for key, *_ in fit], vectors, refused)


def extract(job: TitleJob | CoverJob, item_ids: np.ndarray, store: VectorStore, engine: str = "local") -> Extracted:
    """Every item's vector, from the store or the encoder.

    Args:
        item_ids: 1..N, ascending.
        engine: ``local``, or ``ray`` for the workers of a Ray cluster.
    """
    shards, progress = store.shards(job.identity()), Progress(job.what, len(item_ids))
    keys: dict[int, bytes] = {}  # of items that have content
    refused: dict[bytes, Refused] = {}

    def new_contents() -> Iterator[tuple[int, bytes, Any]]:
        """Item, key and content of everything that has no vector yet, each content once."""
        met: set[bytes] = set()
        for item, key, content in job.read(item_ids):
            if key is not None:
                keys[item] = key
            if key is None or key in shards.places or key in met:
                progress.skip()
            else:
                met.add(key)
                yield item, key, content

    with progress:
        if engine == "ray":
            from mmctr_kedro.encoders.on_ray import encode_on_ray

            for rows, found in encode_on_ray(job, new_contents(), shards):
                refused |= found
                progress.advance(rows + len(found))
        else:
            try:
                for done in job.encode((key, content) for _, key, content in new_contents()):
                    shards.add(done.keys, done.vectors)
                    refused |= done.refused
                    progress.advance(len(done.keys) + len(done.refused))
            finally:
                shards.flush()  # also after an error: what is encoded is encoded
    progress.log_end()
    missing = Refused("missing", "no file")
    of_items = {item: missing for item in item_ids.tolist() if item not in keys}
    of_items |= {item: refused[key] for item, key in keys.items() if key in refused}
    if shards.width is None:
        return Extracted(np.zeros((len(item_ids) + 1, job.encoder.width), dtype=np.float32), of_items)
    return Extracted(shards.collect([keys.get(item) for item in item_ids.tolist()]), of_items)
