"""Items through an encoder, shard by shard, each content once and never twice.

``extract`` streams: what is in memory is a shard and a batch or two, however many items there are. Content that the
store knows from an earlier run, by this encoder, is not encoded again. N items.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from mmctr_kedro.common.params import EncoderParams, ImageEncoderParams, TextEncoderParams
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.images import Refused, decoded_batches
from mmctr_kedro.encoders import IMAGE_ENCODERS, TEXT_ENCODERS
from mmctr_kedro.encoders.base import threads_or_all
from mmctr_kedro.encoders.progress import Progress
from mmctr_kedro.encoders.store import Shards, VectorStore, content_key

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


class Job(ABC):
    """One modality of the items and the encoder for it. The encoder is loaded with the first content it is given."""

    what: str  # the items' name in log lines
    reads: str  # the modality
    anywhere = True  # any item can be read without those before it
    encoder_type: type[Any]

    def __init__(self, params: EncoderParams, texts: Sequence[str]) -> None:
        """``texts[i]`` belongs to item i + 1."""
        self._params, self._texts = params, texts

    @cached_property
    def encoder(self) -> Any:
        return self.encoder_type(self._params)

    def identity(self) -> dict[str, Any]:
        """All that decides a content's vector."""
        return {"encoder": self._params.name, "reads": self.reads, **self.encoder_type.identity(self._params)}

    @abstractmethod
    def read(self, item_ids: np.ndarray) -> Iterator[tuple[int, Any]]:
        """Each of these items with its content, None where it has none."""

    @abstractmethod
    def key(self, content: Any) -> bytes: ...

    @abstractmethod
    def encode(self, contents: Iterable[tuple[bytes, Any]]) -> Iterator[Encoded]:
        """Keys and contents through the encoder, a batch at a time."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "encoder"}  # workers load their own


class TitleJob(Job):
    """Texts by item id; an empty one is no content."""

    what, reads = "titles", "text"
    _params: TextEncoderParams

    def __init__(self, params: TextEncoderParams, texts: Sequence[str]) -> None:
        super().__init__(params, texts)
        self.encoder_type = TEXT_ENCODERS[params.name]

    def read(self, item_ids: np.ndarray) -> Iterator[tuple[int, str | None]]:
        return ((item, self._texts[item - 1] or None) for item in item_ids.tolist())

    def key(self, content: str) -> bytes:
        return content_key(content.encode("utf-8", "surrogatepass"))

    def encode(self, contents: Iterable[tuple[bytes, str]]) -> Iterator[Encoded]:
        stream = iter(contents)
        while chunk := list(islice(stream, TEXTS_AT_A_TIME * self._params.batch_size)):
            keys, texts = zip(*chunk, strict=True)
            yield Encoded(list(keys), self.encoder.encode(texts), {})


class CoverJob(Job):
    """Covers by item id, and the item's text for an encoder that reads both."""

    what, reads = "covers", "image"
    _params: ImageEncoderParams

    def __init__(self, params: ImageEncoderParams, covers: Covers, texts: Sequence[str]) -> None:
        super().__init__(params, texts)
        self._covers, self.anywhere = covers, covers.anywhere
        self.encoder_type = IMAGE_ENCODERS[params.name]

    def read(self, item_ids: np.ndarray) -> Iterator[tuple[int, tuple[bytes, str] | None]]:
        for item, data in self._covers.read(item_ids):
            yield item, None if data is None else (data, self._texts[item - 1] if self.encoder_type.reads_text else "")

    def key(self, content: tuple[bytes, str]) -> bytes:
        return content_key(content[0], content[1].encode("utf-8", "surrogatepass"))

    def encode(self, contents: Iterable[tuple[bytes, tuple[bytes, str]]]) -> Iterator[Encoded]:
        texts: dict[bytes, str] = {}

        def pictures() -> Iterator[tuple[bytes, bytes]]:
            for key, (data, text) in contents:
                texts[key] = text
                yield key, data

        first = next(stream := pictures(), None)
        if first is None:
            return  # and the encoder is not loaded
        params, encoder = self._params, self.encoder
        for batch in decoded_batches(
            chain([first], stream),
            encoder.side,
            params.smallest_side,
            params.batch_size,
            threads_or_all(params.threads),
        ):
            shown = [(key, image, texts.pop(key)) for key, image in batch]
            refused = {key: image for key, image, _ in shown if isinstance(image, Refused)}
            fit = [(key, image, text) for key, image, text in shown if not isinstance(image, Refused)]
            vectors = np.zeros((0, encoder.width), dtype=np.float32)
            if fit:
                vectors = encoder.encode(np.stack([image for _, image, _ in fit]), [text for *_, text in fit])
            yield Encoded([key for key, *_ in fit], vectors, refused)


def extract(job: Job, item_ids: np.ndarray, store: VectorStore, engine: str = "local") -> Extracted:
    """Every item's vector, from the store or the encoder.

    Args:
        item_ids: 1..N, ascending.
        engine: ``local``, or ``ray`` for the workers of a Ray cluster.
    """
    shards = store.shards(job.identity())
    pass_ = _Pass(job, item_ids, shards)
    if engine == "ray":
        from mmctr_kedro.encoders.on_ray import encode_on_ray

        encode_on_ray(pass_)
    else:
        pass_.encode_here()
    pass_.progress.end()
    if shards.width is None:
        return Extracted(np.zeros((len(item_ids) + 1, job.encoder.width), dtype=np.float32), pass_.refused_items())
    return Extracted(shards.collect([pass_.keys.get(item) for item in item_ids.tolist()]), pass_.refused_items())


class _Pass:
    """One reading of all items: who has which key, which contents are new, and which are refused."""

    def __init__(self, job: Job, item_ids: np.ndarray, shards: Shards) -> None:
        self.job, self.item_ids, self.shards = job, item_ids, shards
        self.keys: dict[int, bytes] = {}  # of items that have content
        self.refused: dict[bytes, Refused] = {}
        self.progress = Progress(job.what, len(item_ids))

    def new_contents(self) -> Iterator[tuple[int, bytes, Any]]:
        """Item, key and content of everything that has no vector yet, each content once."""
        met: set[bytes] = set()
        for item, content in self.job.read(self.item_ids):
            if content is None:
                self.progress.know()
                continue
            self.keys[item] = key = self.job.key(content)
            if key in self.shards.places or key in met:
                self.progress.know()
                continue
            met.add(key)
            yield item, key, content

    def encode_here(self) -> None:
        with self.shards:
            for done in self.job.encode((key, content) for _, key, content in self.new_contents()):
                if done.keys:
                    self.shards.add(done.keys, done.vectors)
                self.refused |= done.refused
                self.progress.advance(len(done.keys) + len(done.refused))

    def refused_items(self) -> dict[int, Refused]:
        missing = Refused("missing", "no file")
        without = {item: missing for item in self.item_ids.tolist() if item not in self.keys}
        return without | {item: self.refused[key] for item, key in self.keys.items() if key in self.refused}
