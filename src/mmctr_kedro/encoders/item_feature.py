"""The vectors that item_feature.parquet itself publishes: BERT of titles, CLIP RN50 of covers. Nothing is encoded."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.parquet import open_parquet, read_columns

COLUMNS = {"text": "txt_emb_BERT", "image": "img_emb_CLIPRN50"}


def item_feature_vectors(folder: RawFolder, modality: str) -> np.ndarray:
    """A column of item_feature in item-id order: ``[N + 1, 768]`` or ``[N + 1, 1024]`` float32, row 0 zeros.

    Args:
        folder: The challenge's files, already checked by ``data_processing``.
        modality: A key of ``COLUMNS``.
    """
    column, path = COLUMNS[modality], folder.file("item_feature")
    if not path.is_file() or column not in open_parquet(path).schema_arrow.names:
        raise MmctrError(
            f"{path} has no column '{column}', so there are no {modality} vectors to take. Encode "
            f"instead: leave embedding.{modality}.name out."
        )
    table = read_columns(path, ["item_id", column])
    values = pc.list_flatten(table[column]).to_numpy()
    vectors = np.zeros((len(table) + 1, len(values) // max(1, len(table))), dtype=np.float32)
    vectors[table["item_id"].to_numpy()] = values.reshape(len(table), -1)
    return vectors
