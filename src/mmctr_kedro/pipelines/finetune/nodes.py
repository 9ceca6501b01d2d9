"""An encoder tuned by clicks: pairs of train, contents of items, adapters."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.progress import Progress
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.images import Refused, decoded_batches
from mmctr_kedro.encoders.base import threads_or_all
from mmctr_kedro.encoders.item_vectors import item_texts
from mmctr_kedro.encoders.minilm import packaged
from mmctr_kedro.encoders.sentence_transformer import load, side_of, text_inputs
from mmctr_kedro.encoders.settings import FinetuneParams, ImageEncoderParams, SentenceTransformerParams
from mmctr_kedro.fusion.histories import WATCHED_BATCHES, pairs_of, some_pairs
from mmctr_kedro.fusion.settings import EmbeddingParams

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

EXTRA = ("peft", "accelerate", "datasets")  # what the extra `finetune` installs


def tune_encoder(
    params: FinetuneParams, embedding: EmbeddingParams, item_content: pd.DataFrame, covers: Covers, clicks_train: Clicks
) -> tuple[Any, dict[str, Any]]:
    """The encoder that ``embedding`` names, tuned by neighbouring clicks of one user.

    Args:
        item_content: One row per item, ids 1..N ascending, with ``title`` and ``tag_words``.
        covers: Read where ``params.modality`` is ``image``.
        clicks_train: All that is learnt from; some of its users decide when to stop (``pairs_of``).

    Returns:
        model: The tuned ``SentenceTransformer`` in fp32, adapters merged; that library alone loads it. (Kedro reads
            the annotations of nodes when it starts: naming the class there would import it.)
        report: Pairs, loss on held-out users before and after, epochs, trainable parameters and their share.
    """
    if missing := [name for name in EXTRA if find_spec(name) is None]:
        raise MmctrError(
            f"Tuning an encoder needs {', '.join(missing)}: pip install -c requirements.lock accelerate datasets peft"
        )
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.encoders.lora import tune

    encoder = _encoder(params, embedding)
    found = pairs_of(clicks_train, params)
    with reproducible(params) as device, TemporaryDirectory(prefix="finetune_") as folder:
        # Tuned in fp32, whatever the embedding is made in: small steps vanish in half precision.
        model = load(encoder.model_copy(update={"device": device.type, "precision": "fp32"}), params.modality)
        content: Callable[[int], Any]
        if params.modality == "text":
            texts = np.array(["", *item_texts(item_content)], dtype=object)
            distinct, place = np.unique(texts, return_inverse=True)  # the empty text comes first
            content, place = text_inputs(model, distinct[1:].tolist()).__getitem__, place - 1
        else:
            item_ids = np.unique(np.concatenate(found))
            content, place = _images(model, embedding.image, item_ids, covers, Path(folder))
        # Pairs of places; without those where an item has no content, or both have the same.
        placed = [place[pairs] for pairs in found]
        learnt, held_out = (pairs[(pairs >= 0).all(axis=1) & (pairs[:, 0] != pairs[:, 1])] for pairs in placed)
        if len(np.unique(learnt)) < 4 or len(np.unique(held_out)) < 4:  # a pair and a negative
            raise MmctrError(
                f"An encoder is tuned by neighbouring clicks of one user, but train has {len(learnt)} pairs of items "
                f"with different {params.modality}s to learn from and {len(held_out)} to stop by. Raise "
                f"finetune.window={params.window} or finetune.held_out={params.held_out:g}."
            )
        rng = np.random.default_rng(params.seed)
        reached = some_pairs(learnt, params.epochs * params.pairs_per_epoch, rng)
        watched = some_pairs(held_out, WATCHED_BATCHES * params.batch_size, rng)
        report = tune(model, content, reached, watched, params, encoder.prompt)
    return model.cpu(), {
        "encoder": "minilm" if params.modality == "text" and embedding.text.name == "minilm" else encoder.model,
        "modality": params.modality,
        "pairs": len(learnt),
        "held_out_pairs": len(held_out),
        **report,
    }


def _encoder(params: FinetuneParams, embedding: EmbeddingParams) -> SentenceTransformerParams:
    chosen = embedding.text if params.modality == "text" else embedding.image
    if chosen.name == "minilm":
        return packaged()
    if chosen.sentence_transformer is None:
        raise MmctrError(
            f"embedding.{params.modality}.name '{chosen.name}' cannot be tuned: choose "
            f"{'minilm or ' if params.modality == 'text' else ''}sentence_transformer, which trains in torch."
        )
    return chosen.sentence_transformer


def _images(
    model: SentenceTransformer, params: ImageEncoderParams, item_ids: np.ndarray, covers: Covers, folder: Path
) -> tuple[Callable[[int], Any], np.ndarray]:
    """Covers of these items by their place, as Pillow images, and each item's place; -1: it has no usable cover."""
    from PIL import Image

    side, items = side_of(model), int(item_ids.max(initial=0))
    # On disk: 90,000 covers of 224 x 224 pixels are 14 GB.
    shape = (max(1, len(item_ids)), side, side, 3)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape)
    place = np.full(items + 1, -1, dtype=np.int64)
    done, threads = 0, threads_or_all(params.threads)
    with Progress("covers", int(np.isin(item_ids, covers.item_ids).sum())) as progress:
        for batch in decoded_batches(covers.read(item_ids), side, params.smallest_side, params.batch_size, threads):
            for item, image in batch:
                if not isinstance(image, Refused):
                    pixels[done], place[item] = image, done
                    done += 1
            progress.advance(sum(not isinstance(found, Refused) or found.kind != "missing" for _, found in batch))
    progress.log_end()
    return lambda at: Image.fromarray(pixels[at]), place
