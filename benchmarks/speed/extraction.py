"""Titles and covers through encoders: ours, a plain loop item by item, and ``SentenceTransformer.encode``.

The same items, model and threads on every side; loading the model is not counted. ``growth`` sends as many simulated
items as the challenge has through the whole extraction, with an encoder that does no arithmetic but gives vectors as
wide as EfficientNet's: what is asked is whether memory grows with the items.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.encoders import IMAGE_ENCODERS, extraction
from mmctr_kedro.encoders.extraction import CoverJob, TitleJob
from mmctr_kedro.encoders.settings import ImageEncoderParams, TextEncoderParams
from mmctr_kedro.encoders.store import VectorStore

BATCH = 64


def rate(block: Any) -> dict[str, Any]:
    """Items a second of ``block.model`` (minilm, efficientnet, clip) by ``block.how`` (loop, library, ours)."""
    raw = RawFolder(Path(block.data))
    table = pq.read_table(raw.file("item_feature"), columns=["item_title"])
    titles = [title or "untitled" for title in table["item_title"].to_pylist()]
    covers = Covers.find(raw.path)
    with TemporaryDirectory() as folder:
        side: Callable[..., float] = _SIDES[block.model, block.how]
        seconds = side(block, titles, covers, Path(folder))
    return {"items": len(titles), "items_per_second": len(titles) / seconds}


def growth(block: Any) -> dict[str, Any]:
    """Peak memory of ``block.items`` covers through decoding, store and collection."""
    from benchmarks.speed.block import memory

    few = Covers.find(Path(block.data))
    pictures = [data for _, data in few.read(few.item_ids) if data]
    job = CoverJob(ImageEncoderParams(threads=block.threads), Repeated(pictures, block.items), [""] * block.items)
    real = IMAGE_ENCODERS["efficientnet_lite0"]
    before, began = memory(), time.perf_counter()
    try:
        IMAGE_ENCODERS["efficientnet_lite0"] = NoArithmetic
        with TemporaryDirectory(dir=Path(block.data).parent) as folder:
            vectors, _ = extraction.extract(job, np.arange(1, block.items + 1), VectorStore(Path(folder)))
            rows, held = len(vectors), memory()["anonymous_gb"]
    finally:
        IMAGE_ENCODERS["efficientnet_lite0"] = real
    return {
        "items": rows - 1,
        "items_per_second": block.items / (time.perf_counter() - began),
        "imports_gb": before["peak_gb"],
        **memory(),
        "largest_anonymous_gb": max(held, NoArithmetic.largest),
    }


class NoArithmetic:
    """Vectors 1,280 wide without a network; notes the memory held at every call."""

    width, side, reads_text = 1280, 224, False
    largest = 0.0

    def __init__(self, params: ImageEncoderParams) -> None: ...

    @classmethod
    def identity(cls, params: ImageEncoderParams) -> dict[str, Any]:
        return {}

    def encode(self, pixels: np.ndarray, texts: Any = None) -> np.ndarray:
        from benchmarks.speed.block import memory

        NoArithmetic.largest = max(NoArithmetic.largest, memory()["anonymous_gb"])
        return np.repeat(pixels[:, 0, 0, :1].astype(np.float32), self.width, axis=1)


class Repeated(Covers):
    """Some pictures over and over, each time as another file: what follows the end of an image is not decoded."""

    def __init__(self, pictures: list[bytes], count: int) -> None:
        super().__init__(None)
        self._pictures, self.item_ids = pictures, np.arange(1, count + 1)

    def read(self, item_ids: Any) -> Iterator[tuple[int, bytes | None]]:
        for item in item_ids.tolist():
            yield item, self._pictures[item % len(self._pictures)] + item.to_bytes(8, "little")


# --- sides -----------------------------------------------------------------------------------------------


def _minilm_ours(block: Any, titles: list[str], covers: Covers, folder: Path) -> float:
    job = TitleJob(TextEncoderParams(threads=block.threads, batch_size=BATCH), titles)
    _ = job.encoder
    return _timed(lambda: extraction.extract(job, np.arange(1, len(titles) + 1), VectorStore(folder)))


def _minilm(block: Any) -> Any:
    from mmctr_kedro.encoders.minilm import packaged
    from mmctr_kedro.encoders.sentence_transformer import load

    return load(packaged(), "text")


def _minilm_library(block: Any, titles: list[str], covers: Covers, folder: Path) -> float:
    model = _minilm(block)
    return _timed(lambda: model.encode(titles, batch_size=BATCH, show_progress_bar=False))


def _minilm_loop(block: Any, titles: list[str], covers: Covers, folder: Path) -> float:
    model = _minilm(block)
    return _timed(lambda: [model.encode([title], show_progress_bar=False) for title in titles])


def _efficientnet_ours(block: Any, titles: list[str], covers: Covers, folder: Path) -> float:
    return _covers_ours(ImageEncoderParams(threads=block.threads, batch_size=BATCH), titles, covers, folder)


def _efficientnet_loop(block: Any, titles: list[str], covers: Covers, folder: Path) -> float:
    import torch
    from PIL import Image

    from mmctr_kedro.encoders.efficientnet_lite0 import load_torch

    model = load_torch()

    def every() -> None:
        with torch.inference_mode():
            for _, data in covers.read(covers.item_ids):
                image = Image.open(io.BytesIO(data or b"")).convert("RGB").resize((224, 224))
                pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).unsqueeze(0).float()
                model.extract_features((pixels - 127) / 128).mean(dim=(2, 3))

    return _timed(every)


def _clip_ours(block: Any, titles: list[str], covers: Covers, folder: Path) -> float:
    chosen = {"model": str(_random_clip(folder / "clip")), "device": "cpu"}
    params = ImageEncoderParams(
        name="sentence_transformer", sentence_transformer=chosen, threads=block.threads, batch_size=BATCH
    )
    return _covers_ours(params, titles, covers, folder / "store")


def _clip_library(block: Any, titles: list[str], covers: Covers, folder: Path) -> float:
    from PIL import Image

    model = _sentence_transformer(_random_clip(folder / "clip"))

    def every() -> None:
        images = [Image.open(io.BytesIO(data or b"")) for _, data in covers.read(covers.item_ids)]
        model.encode(images, batch_size=BATCH, show_progress_bar=False, normalize_embeddings=True)

    return _timed(every)


def _clip_loop(block: Any, titles: list[str], covers: Covers, folder: Path) -> float:
    from PIL import Image

    model = _sentence_transformer(_random_clip(folder / "clip"))

    def every() -> None:
        for _, data in covers.read(covers.item_ids):
            model.encode([Image.open(io.BytesIO(data or b""))], show_progress_bar=False, normalize_embeddings=True)

    return _timed(every)


def _covers_ours(params: ImageEncoderParams, titles: list[str], covers: Covers, folder: Path) -> float:
    job = CoverJob(params, covers, titles)
    _ = job.encoder
    return _timed(lambda: extraction.extract(job, covers.item_ids, VectorStore(folder)))


def _sentence_transformer(folder: Path) -> Any:
    from mmctr_kedro.encoders.sentence_transformer import load
    from mmctr_kedro.encoders.settings import SentenceTransformerParams

    return load(SentenceTransformerParams(model=str(folder), device="cpu"), "image")


def _random_clip(folder: Path) -> Path:
    """A CLIP with ViT-B/32's image tower and a small text tower, random weights: the speed is that of real ones."""
    import json

    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor, CLIPTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(1)
    folder.mkdir(parents=True)
    pieces = ["<|startoftext|>", "<|endoftext|>", "a", "a</w>"]
    (folder / "vocab.json").write_text(json.dumps({piece: place for place, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    text = {"vocab_size": 4, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "bos_token_id": 0}
    image = {"image_size": 224, "patch_size": 32}
    CLIPModel(CLIPConfig(text_config=text | {"eos_token_id": 1}, vision_config=image)).save_pretrained(folder)
    CLIPProcessor(
        CLIPImageProcessorPil(), CLIPTokenizerFast(str(folder / "vocab.json"), str(folder / "merges.txt"))
    ).save_pretrained(folder)
    return folder


_SIDES = {
    ("minilm", "loop"): _minilm_loop,
    ("minilm", "library"): _minilm_library,
    ("minilm", "ours"): _minilm_ours,
    ("efficientnet", "loop"): _efficientnet_loop,
    ("efficientnet", "ours"): _efficientnet_ours,
    ("clip", "loop"): _clip_loop,
    ("clip", "library"): _clip_library,
    ("clip", "ours"): _clip_ours,
}


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
