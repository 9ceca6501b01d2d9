"""Titles and covers of items to vectors, row i for item i; what an item lacks is filled with the mean of the others."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.images import Refused, refuse_unusable
from mmctr_kedro.encoders.extraction import CoverJob, Extracted, TitleJob, extract
from mmctr_kedro.encoders.item_feature import item_feature_vectors
from mmctr_kedro.encoders.settings import ImageEncoderParams, TextEncoderParams
from mmctr_kedro.encoders.store import VectorStore

logger = logging.getLogger(__name__)

Engine = Literal["local", "ray"]


def encode_titles(
    item_content: pd.DataFrame,
    params: TextEncoderParams | None = None,
    *,
    store: VectorStore | None = None,
    folder: RawFolder | None = None,
    engine: Engine = "local",
) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode every item's title and tag words, or take the vectors that item_feature has, or none.

    Args:
        item_content: One row per item, ids 1..N ascending, with ``title`` and ``tag_words``.
        params: The encoder; None: ``TextEncoderParams()``, all-MiniLM-L6-v2, whose weights are an installed package.
        store: Where texts that were encoded before are found, and others put; None: nothing is kept.
        folder: Read where ``params.name`` is ``item_feature``; a vector of zeros counts as no words.
        engine: ``ray``: encode by the workers of a Ray cluster.

    Returns:
        vectors: ``[N+1, d]`` float32, row 0 zeros. An item without any words has the mean of the others.
        report: How many items have words, and the ids of those that have none.
    """
    params = params or TextEncoderParams()
    texts, item_ids = item_texts(item_content), item_content["item_id"].to_numpy()
    worded = np.array([bool(text) for text in texts], dtype=bool)
    if params.name == "item_feature":
        vectors = _published(folder, "text")
        worded = np.asarray(vectors[1:].any(axis=1))
    elif params.name == "none":
        vectors = np.zeros((len(texts) + 1, 1), dtype=np.float32)
    else:
        vectors, _ = _extract(TitleJob(params, texts), item_ids, store, engine)
    _fill_with_mean(vectors, worded, "title or tag words")
    wordless = item_ids[~worded].tolist()
    return vectors, {
        "items": len(texts),
        "encoded": len(texts) - len(wordless),
        "without_words": {"count": len(wordless), "item_ids": wordless},
    }


def item_texts(item_content: pd.DataFrame) -> list[str]:
    """What the text encoder reads of each item, e.g. ``Heat. tags: Action, Crime``; empty without words."""
    titles = item_content["title"].fillna("").str.strip()
    words = [", ".join(tags) for tags in item_content["tag_words"]]
    return [
        ". ".join(part for part in (title, f"tags: {tags}" if tags else "") if part)
        for title, tags in zip(titles, words, strict=True)
    ]


def encode_covers(
    item_content: pd.DataFrame,
    covers: Covers,
    params: ImageEncoderParams | None = None,
    *,
    store: VectorStore | None = None,
    folder: RawFolder | None = None,
    engine: Engine = "local",
) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode every item's cover, a batch of images in memory at a time, or take the vectors given.

    Args:
        item_content: One row per item, ids 1..N ascending.
        covers: Where the bytes of the covers come from, such as ``Covers.find(folder)``.
        params: The encoder; None: ``ImageEncoderParams()``, EfficientNet-Lite0, whose weights are an installed package.
        store: Where covers that were encoded before are found, and others put; None: nothing is kept.
        folder: Read where ``params.name`` is ``item_feature``; a vector of zeros counts as no cover.
        engine: ``ray``: encode by the workers of a Ray cluster.

    Returns:
        vectors: ``[N+1, d]`` float32, row 0 zeros. An item whose cover is missing, unreadable or tiny has
            the mean of the others, which is neutral: zero once the columns are standardised.
        report: How many covers were encoded, and per reason the ids of those that were not.
    """
    params = params or ImageEncoderParams()
    item_ids = item_content["item_id"].to_numpy()
    if params.name == "item_feature":
        vectors, where = _published(folder, "image"), "img_emb_CLIPRN50 of item_feature.parquet"
        refused = {item: Refused("missing", "zeros") for item in item_ids[~vectors[1:].any(axis=1)].tolist()}
    else:
        vectors, refused = _extract(CoverJob(params, covers, item_texts(item_content)), item_ids, store, engine)
        where = f"{covers.path} ({len(covers):,} covers, {covers.ignored:,} files not named {{item_id}}.jpg, .png, ...)"
    if params.name == "item_feature" or len(covers) + covers.ignored:  # whoever has no file means to do without
        refuse_unusable(refused, len(item_ids), params.most_unusable_covers, where, "embedding.image")
    _fill_with_mean(vectors, ~np.isin(item_ids, list(refused)), "cover")
    return vectors, cover_report(len(item_ids), refused)


def cover_report(items: int, refused: dict[int, Refused]) -> dict[str, Any]:
    """Counts and, per kind of trouble, item ids ascending; for unreadable and tiny covers also why."""
    report: dict[str, Any] = {"items": items, "encoded": items - len(refused)}
    for kind in ("missing", "unreadable", "tiny"):
        found = {item: refused[item].why for item in sorted(refused) if refused[item].kind == kind}
        report[kind] = {"count": len(found), "item_ids": list(found)}
        if kind != "missing":
            report[kind]["reasons"] = {str(item): why for item, why in found.items()}
    return report


def _extract(job: TitleJob | CoverJob, item_ids: np.ndarray, store: VectorStore | None, engine: Engine) -> Extracted:
    with TemporaryDirectory(prefix="encoded_") as nowhere:
        return extract(job, item_ids, store or VectorStore(Path(nowhere)), engine)


def _published(folder: RawFolder | None, modality: str) -> np.ndarray:
    if folder is None:
        raise MmctrError(f"The {modality} vectors of item_feature were asked for: give the folder that has that file.")
    return item_feature_vectors(folder, modality)


def _fill_with_mean(vectors: np.ndarray, known: np.ndarray, what: str) -> None:
    """Give items 1..N that are not ``known`` the mean of those that are, and say so. Row 0 stays zero."""
    if known.all():
        return
    logger.warning("%s of %s items lack a usable %s", f"{(~known).sum():,}", f"{len(known):,}", what)
    if known.any():
        # Summed in place: a copy of the known rows may be more than memory holds.
        mean = vectors[1:].sum(axis=0, dtype=np.float64, where=known[:, None]) / known.sum()
        vectors[1 + np.flatnonzero(~known)] = mean
