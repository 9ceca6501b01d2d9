"""Click rows: train, valid and test into ``batch.Clicks``, and the check of item_seq."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.processing.click_tables import Table, open_table
from mmctr_kedro.data.processing.columns import id_lists
from mmctr_kedro.data.processing.distinct import Histories, concatenate, distinct, with_keys
from mmctr_kedro.data.processing.jagged import keep_newest
from mmctr_kedro.data.processing.problems import Problems
from mmctr_kedro.data.processing.schemas import INT32_MAX

BATCH_ROWS = 32_768  # 16 MB of padded histories at a time, and a few times that while they are hashed


def read_clicks(
    folder: RawFolder, split: str, n_items: int | None, max_history: int, problems: Problems
) -> Clicks | None:
    """One split's contract; None if its file has a problem. ``n_items`` None: item ids cannot be checked."""
    table = open_table(folder, split, problems)
    frame = table.scalars()
    if n_items is not None and "item_id" in frame:
        item = frame["item_id"].to_numpy()
        unknown = np.flatnonzero(item > n_items)
        expected = f"an item of item_info, 1..{n_items}"
        problems.add_rows(table.file, "item_id", expected, unknown, item[unknown])
    if "label" in frame and len(labels := frame["label"].unique()) == 1 and labels[0] in (0, 1):
        # AUC compares clicks with the others: of one kind alone there is nothing to learn or to measure.
        problems.add(table.file, f"column 'label': expected both 0 and 1, found {labels[0]} in every row")
    sound = not problems.in_file(table.file)
    user = frame["user_id"].to_numpy(dtype=np.int32) if sound else None
    found = _histories(table, user, n_items or INT32_MAX, max_history) if "item_seq" in table else None
    if found is None or problems.in_file(table.file):
        return None
    return _clicks(frame, *found)


def check_item_seq(folder: RawFolder, n_items: int | None, problems: Problems) -> dict[str, Any]:
    """Check every user's whole sequence, which nothing of ours trains on; returns rows and users."""
    table = open_table(folder, "item_seq", problems)
    if "item_seq" in table:
        for _ in id_lists(table, "item_seq", n_items or INT32_MAX, "items of item_info", BATCH_ROWS):
            pass
    users = table.scalars()["user_id"].nunique() if "user_id" in table else None
    return {"rows": len(table), "users": users}


def _histories(table: Table, user: np.ndarray | None, highest: int, most: int) -> tuple[Histories, np.ndarray] | None:
    """The distinct histories, and which of them each row has: ``[R]`` int32. Without users, checks only."""
    parts, which, count = [], [], 0
    for lists in id_lists(table, "item_seq", highest, "items of item_info", BATCH_ROWS):
        if user is None:
            continue
        rows = slice(lists.start, lists.start + len(lists.offsets) - 1)
        part, local = distinct(with_keys(user[rows], *keep_newest(lists.offsets, lists.items, most)))
        parts.append(part)
        which.append(local + np.int32(count))
        count += len(part.user)
    if not parts:
        return None
    found, rank = distinct(concatenate(parts))
    return found, rank[np.concatenate(which)]


def _clicks(frame: pd.DataFrame, histories: Histories, history: np.ndarray) -> Clicks:
    def column(name: str, dtype: type) -> np.ndarray:
        return frame[name].to_numpy(dtype=dtype)

    return Clicks(
        history_user=histories.user,
        history_offsets=histories.offsets,
        history_items=histories.items,
        history=history,
        item=column("item_id", np.int32),
        likes_level=column("likes_level", np.int8),
        views_level=column("views_level", np.int8),
        row_id=column("ID", np.int64) if "ID" in frame else np.arange(len(frame), dtype=np.int64),
        label=column("label", np.int8) if "label" in frame else None,
    )
