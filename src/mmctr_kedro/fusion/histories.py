"""The histories that a variant may learn from: those of train, or every one the challenge publishes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import HISTORY_WIDTH, PATHS, RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.jagged import keep_newest, strip_padding
from mmctr_kedro.data.parquet import read_columns


def with_published(train: Clicks, folder: RawFolder) -> Clicks:
    """Train, and beside it every history of item_seq.parquet, of users without train rows too.

    item_seq has histories and no labels. The rows, and so what was clicked after a history, stay those of train.

    Args:
        folder: The challenge's files, already checked by ``data_processing``.
    """
    path = folder.file("item_seq")
    if not path.is_file():
        raise MmctrError(
            f"embedding.histories is 'published', but {PATHS['item_seq']} is not in {folder.path}. Fetch it, or learn "
            "from train alone: --params embedding.histories=train"
        )
    table = read_columns(path, ["user_id", "item_seq"])
    lists = table["item_seq"].cast(pa.large_list(pa.int64())).combine_chunks()
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    first = lists.offsets[0].as_py()
    padded = lists.offsets.to_numpy() - first
    offsets, items = keep_newest(*strip_padding(lists.flatten().to_numpy(), padded), HISTORY_WIDTH)
    return dataclasses.replace(
        train,
        history_user=np.concatenate([train.history_user, table["user_id"].to_numpy().astype(np.int32)]),
        history_offsets=np.concatenate([train.history_offsets, train.history_offsets[-1] + offsets[1:]]),
        history_items=np.concatenate([train.history_items, items]),
    )
