"""Item embeddings for Task 1: titles and covers to vectors, vectors to one embedding per item."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mmctr_kedro.data import challenge
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.encoders import item_vectors
from mmctr_kedro.encoders.store import VectorStore
from mmctr_kedro.evaluation import scorecard
from mmctr_kedro.fusion.embedding import fuse_items
from mmctr_kedro.fusion.settings import EmbeddingParams

logger = logging.getLogger(__name__)


def encode_titles(
    params: EmbeddingParams, item_content: pd.DataFrame, challenge_folder: RawFolder, vector_store: VectorStore
) -> tuple[np.ndarray, dict[str, Any]]:
    """``encoders.item_vectors.encode_titles`` of ``params.text``: vectors and report."""
    return item_vectors.encode_titles(
        item_content, params.text, store=vector_store, folder=challenge_folder, engine=params.engine
    )


def encode_covers(
    params: EmbeddingParams,
    item_content: pd.DataFrame,
    covers: Covers,
    challenge_folder: RawFolder,
    vector_store: VectorStore,
) -> tuple[np.ndarray, dict[str, Any]]:
    """``encoders.item_vectors.encode_covers`` of ``params.image``: vectors and report."""
    return item_vectors.encode_covers(
        item_content, covers, params.image, store=vector_store, folder=challenge_folder, engine=params.engine
    )


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
    """``fusion.embedding.fuse_items`` for a variant, by default the one chosen: embedding, each modality's, report."""
    vectors = (text_vectors, image_vectors, provided_item_embedding)
    return fuse_items(*vectors, clicks_train, params, variant=variant, folder=challenge_folder)


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
