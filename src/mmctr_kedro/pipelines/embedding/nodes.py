"""Item embeddings for Task 1: titles and covers to vectors, vectors to one embedding per item."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mmctr_kedro import fusion
from mmctr_kedro.data import challenge
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.images import Refused
from mmctr_kedro.encoders.extraction import CoverJob, TitleJob, extract
from mmctr_kedro.encoders.item_feature import item_feature_vectors
from mmctr_kedro.encoders.store import VectorStore
from mmctr_kedro.evaluation import scorecard
from mmctr_kedro.fusion.histories import with_published
from mmctr_kedro.fusion.settings import EmbeddingParams

logger = logging.getLogger(__name__)


def encode_titles(
    params: EmbeddingParams, item_content: pd.DataFrame, challenge_folder: RawFolder, vector_store: VectorStore
) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode every item's title and tag words, or take the vectors that item_feature has, or none.

    Args:
        item_content: One row per item, ids 1..N ascending, with ``title`` and ``tag_words``.
        challenge_folder: Read where ``params.text.name`` is ``item_feature``; a vector of zeros counts as no words.
        vector_store: Where texts that were encoded before are found, and others put.

    Returns:
        vectors: ``[N + 1, d]`` float32, row 0 zeros. An item without any words has the mean of the others.
        report: How many items have words, and the ids of those that have none.
    """
    texts, item_ids = item_texts(item_content), item_content["item_id"].to_numpy()
    worded = np.array([bool(text) for text in texts], dtype=bool)
    if params.text.name == "item_feature":
        vectors = item_feature_vectors(challenge_folder, "text")
        worded = np.asarray(vectors[1:].any(axis=1))
    elif params.text.name == "none":
        vectors = np.zeros((len(texts) + 1, 1), dtype=np.float32)
    else:
        vectors, _ = extract(TitleJob(params.text, texts), item_ids, vector_store, params.engine)
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
    params: EmbeddingParams,
    item_content: pd.DataFrame,
    covers: Covers,
    challenge_folder: RawFolder,
    vector_store: VectorStore,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Encode every item's cover, a batch of images in memory at a time, or take the vectors given.

    Args:
        item_content: One row per item, ids 1..N ascending.
        covers: Where the bytes of the covers come from.
        challenge_folder: Read where ``params.image.name`` is ``item_feature``; a vector of zeros counts as no cover.
        vector_store: Where covers that were encoded before are found, and others put.

    Returns:
        vectors: ``[N + 1, d]`` float32, row 0 zeros. An item whose cover is missing, unreadable or tiny has
            the mean of the others, which is neutral: zero once the columns are standardised.
        report: How many covers were encoded, and per reason the ids of those that were not.
    """
    item_ids = item_content["item_id"].to_numpy()
    if params.image.name == "item_feature":
        vectors = item_feature_vectors(challenge_folder, "image")
        refused = {item: Refused("missing", "zeros") for item in item_ids[~vectors[1:].any(axis=1)].tolist()}
    else:
        job = CoverJob(params.image, covers, item_texts(item_content))
        vectors, refused = extract(job, item_ids, vector_store, params.engine)
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


def fuse(
    params: EmbeddingParams,
    text_vectors: np.ndarray,
    image_vectors: np.ndarray,
    provided_item_embedding: np.ndarray,
    clicks_train: Clicks,
    challenge_folder: RawFolder,
    *,
    variant: str | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """The item embedding of a variant, by default the one chosen.

    Args:
        clicks_train: What a variant may learn from; none reads the rows of valid or test.
        challenge_folder: Its item_seq is read where ``params.histories`` widens that to all published histories.

    Returns:
        embedding: ``[N + 1, width]`` float32, row 0 zeros.
        alone: ``[2, N + 1, width]`` float32, the same of text alone and of covers alone, for the scorecard.
        report: How the fusion went: epochs of a tower, reconstruction of codes, empty where there is nothing to tell.
    """
    assert len(text_vectors) == len(image_vectors), "both encoders number the same items"
    learnt = with_published(clicks_train, challenge_folder) if params.histories == "published" else clicks_train
    inputs = fusion.ItemInputs(text_vectors[1:], image_vectors[1:], provided_item_embedding[1:], learnt)
    fused = fusion.fuse(params, inputs, variant)
    assert fused.alone is not None
    embedding, *alone = (np.pad(vectors, ((1, 0), (0, 0))) for vectors in (fused.vectors, *fused.alone))
    report = {"modalities": params.modalities, "histories": params.histories, **fused.report}
    return embedding, np.stack(alone), report


def judge(
    params: EmbeddingParams,
    item_embedding: np.ndarray,
    modality_embeddings: np.ndarray,
    fusion_report: dict[str, Any],
    item_tags: np.ndarray,
    item_content: pd.DataFrame,
    clicks_train: Clicks,
    clicks_valid: Clicks,
    title_report: dict[str, Any],
    cover_report: dict[str, Any],
) -> dict[str, Any]:
    """The scorecard of an embedding, plain JSON, what cannot be known None; see ``scorecard``."""
    items = len(item_embedding) - 1
    levels = item_content[["likes_level", "views_level"]].to_numpy()
    found = scorecard.judge(item_embedding, item_tags, levels, clicks_train, clicks_valid)
    found["modalities"] = scorecard.of_each_modality(item_embedding, modality_embeddings, clicks_train, clicks_valid)
    logger.info(
        "next item among %s: recall@10 %s, recall@100 %s (cold items %s)",
        f"{items:,}",
        found["next_item"]["all"]["recall_at_10"],
        found["next_item"]["all"]["recall_at_100"],
        found["next_item"]["cold"]["recall_at_100"],
    )
    return found | {
        "fusion": fusion_report,
        "encoders": {
            modality: encoder.pretrained.model if encoder.pretrained else encoder.name
            for modality, encoder in (("text", params.text), ("image", params.image))
        },
        "items": items,
        "items_without_words": title_report["without_words"]["count"],
        "items_without_cover": items - cover_report["encoded"],
    }


def format_item_info(item_embedding: np.ndarray, item_tags: np.ndarray) -> pa.Table:
    """The embedding as the organisers' item_info.parquet: rows 0..N, row 0 all zeros.

    The schema is ``challenge.SCHEMAS["item_info"]``; an embedding of another width names its column for it.
    """
    schema = challenge.SCHEMAS["item_info"]
    width = item_embedding.shape[1]
    if width != challenge.EMBEDDING_WIDTH:
        logger.warning("the embedding is %d wide; the challenge takes %d", width, challenge.EMBEDDING_WIDTH)
        column = pa.field(f"item_emb_d{width}", pa.list_(pa.float64(), width))
        schema = schema.set(schema.get_field_index("item_emb_d128"), column)
    columns = [
        np.arange(len(item_embedding)),
        item_tags[:, : challenge.TAG_WIDTH].astype(np.int64),  # without levels added for research
        item_embedding.astype(np.float64),
    ]
    return pa.table([pa.array(list(rows), of.type) for rows, of in zip(columns, schema, strict=True)], schema)


def _fill_with_mean(vectors: np.ndarray, known: np.ndarray, what: str) -> None:
    """Give items 1..N that are not ``known`` the mean of those that are, and say so. Row 0 stays zero."""
    if known.all():
        return
    logger.warning("%s of %s items lack a usable %s", f"{(~known).sum():,}", f"{len(known):,}", what)
    if known.any():
        # Summed in place: a copy of the known rows may be more than memory holds.
        mean = vectors[1:].sum(axis=0, dtype=np.float64, where=known[:, None]) / known.sum()
        vectors[1 + np.flatnonzero(~known)] = mean
