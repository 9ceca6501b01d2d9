"""The user side of an import: train, valid, test and item_seq, a bounded piece at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mmctr_kedro.common.params import InteractionLogParams
from mmctr_kedro.data.challenge import HISTORY_WIDTH, RawFolder
from mmctr_kedro.data.challenge_writer import table_writer
from mmctr_kedro.data.importing.log_files import Log
from mmctr_kedro.data.importing.negatives import Negatives
from mmctr_kedro.data.importing.splits import Rows, Split

CHUNK = 50_000  # target interactions per row group


def write_rows(
    name: str,
    log: Log,
    split: Split,
    negatives: Negatives,
    likes: np.ndarray,
    views: np.ndarray,
    params: InteractionLogParams,
    folder: RawFolder,
) -> dict[str, int]:
    """Write one split and count its rows.

    Where the log has no labels, every click stands with its negatives in random order; all share one history.
    """
    rows = split.rows[name]
    rng = np.random.default_rng([params.seed, 1, ("train", "valid", "test").index(name)])
    law, count = (
        (params.train_negatives, params.train_negatives_per_click)
        if name == "train"
        else (params.eval_negatives, params.eval_negatives_per_click)
    )
    first = clicks = 0
    with table_writer(folder, name) as file:
        for start in range(0, len(rows.event), CHUNK):
            part = Rows(*(a[start : start + CHUNK] for a in (rows.event, rows.begin, rows.end)))
            user = log.user[part.event]
            if params.log.label:
                item, label = log.item[part.event, None], log.click[part.event, None]
            else:
                drawn = negatives.draw(user, count, law, rng)
                item, label = _shuffled(log.item[part.event], drawn, rng)
            width = item.shape[1]
            columns = {
                "ID": np.arange(first, first + item.size),
                "user_id": np.repeat(user, width),
                "item_seq": np.repeat(_histories(part, split.clicked), width, axis=0),
                "item_id": item.ravel(),
                "likes_level": likes[item.ravel() - 1],
                "views_level": views[item.ravel() - 1],
                "label": label.ravel().astype(np.int64),
            }
            file.append(columns)
            first, clicks = first + item.size, clicks + int(label.sum())
    return {"rows": first, "clicks": clicks}


def _shuffled(click: np.ndarray, negatives: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Clicks ``[n]`` among their negatives ``[n, k]``: items ``[n, k + 1]`` and labels."""
    item = np.column_stack([click, negatives])
    order = rng.permuted(np.tile(np.arange(item.shape[1]), (len(item), 1)), axis=1)
    return np.take_along_axis(item, order, axis=1), order == 0


def _histories(rows: Rows, clicked: np.ndarray) -> np.ndarray:
    """``[R, 64]`` int64 item ids, the newest rightmost, zeros on the left."""
    place = rows.end[:, None] + np.arange(-HISTORY_WIDTH, 0)
    real = place >= rows.begin[:, None]
    return np.where(real, clicked[np.where(real, place, 0)], 0).astype(np.int64)


def write_item_seq(log: Log, split: Split, items: int, folder: RawFolder) -> None:
    """Every user's clicks of training time, oldest first, without any item of their valid and test rows."""
    targets = np.concatenate([split.rows[name].event for name in ("valid", "test")])
    hidden = np.unique(log.user[targets].astype(np.int64) * (items + 1) + log.item[targets])
    pair = split.clicker.astype(np.int64) * (items + 1) + split.clicked
    kept = split.early_click & ~np.isin(pair, hidden)
    user, item = split.clicker[kept], split.clicked[kept]
    users, length = np.unique(user, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(length)])
    with table_writer(folder, "item_seq") as file:
        for start in range(0, len(users), 200_000):
            part = offsets[start : start + 200_001]
            values = pa.array(item[part[0] : part[-1]], pa.int64())
            lists = pa.ListArray.from_arrays(pa.array(part - part[0], pa.int32()), values)
            file.append({"user_id": users[start : start + 200_000], "item_seq": lists})
