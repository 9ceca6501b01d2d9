"""Click rows: train, valid and test into ``Clicks``, and the check of item_seq."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.jagged import distinct, encode_users_lists, keep_newest
from mmctr_kedro.data.processing.problems import Problems
from mmctr_kedro.data.processing.raw_tables import INT32_MAX, open_table

BATCH_ROWS = 32_768  # 16 MB of padded histories at a time, and a few times that while equal ones are found


def read_clicks(
    folder: RawFolder, split: str, n_items: int | None, max_history: int, problems: Problems
) -> Clicks | None:
    """One split's contract; None if its file has a problem. ``n_items`` None: item ids cannot be checked."""
    table = open_table(folder, split, problems)
    columns = table.scalars()
    if n_items is not None and "item_id" in columns:
        unknown = np.flatnonzero(columns["item_id"] > n_items)
        expected = f"an item of item_info, 1..{n_items}"
        problems.add_rows(table.file, "item_id", expected, unknown, columns["item_id"][unknown])
    if len(labels := np.unique(columns.get("label", []))) == 1 and labels[0] in (0, 1):
        # AUC compares clicks with the others: of one kind alone there is nothing to learn or to measure.
        problems.add(table.file, f"column 'label': expected both 0 and 1, found {labels[0]} in every row")
    user = columns["user_id"].astype(np.int32) if table.file not in problems else None
    histories = []
    if "item_seq" in table.columns:
        for start, offsets, items in table.id_lists("item_seq", n_items or INT32_MAX, "items of item_info", BATCH_ROWS):
            if user is not None:
                own = user[start : start + len(offsets) - 1]
                histories.append(encode_users_lists(own, *keep_newest(offsets, items, max_history)))
    if table.file in problems:
        return None
    history_user, history_offsets, history_items, history = distinct(histories)
    return Clicks(
        history_user=history_user,
        history_offsets=history_offsets,
        history_items=history_items,
        history=history,
        item=columns["item_id"].astype(np.int32),
        likes_level=columns["likes_level"].astype(np.int8),
        views_level=columns["views_level"].astype(np.int8),
        row_id=columns["ID"].astype(np.int64) if "ID" in columns else np.arange(table.rows, dtype=np.int64),
        label=columns["label"].astype(np.int8) if "label" in columns else None,
    )


def check_item_seq(folder: RawFolder, n_items: int | None, problems: Problems) -> dict[str, Any]:
    """Check every user's whole sequence, from which only ``embedding.histories: published`` learns; count them."""
    table = open_table(folder, "item_seq", problems)
    if "item_seq" in table.columns:
        for _ in table.id_lists("item_seq", n_items or INT32_MAX, "items of item_info", BATCH_ROWS):
            pass
    return {"rows": table.rows, "users": len(np.unique(table.scalars().get("user_id", [])))}
