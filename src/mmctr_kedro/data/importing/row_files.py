"""The user side of an import: train, valid, test and item_seq, a bounded piece at a time."""

from __future__ import annotations

import numpy as np

from mmctr_kedro.data.challenge import HISTORY_WIDTH, RawFolder
from mmctr_kedro.data.challenge_writer import chunks, table_writer, write_item_seq
from mmctr_kedro.data.importing.log_files import Log
from mmctr_kedro.data.importing.negatives import Negatives
from mmctr_kedro.data.importing.splits import SPLITS, Split
from mmctr_kedro.data.settings import InteractionLogParams

CHUNK = 50_000  # target interactions per row group


def write_rows(
    log: Log,
    split: Split,
    negatives: Negatives,
    levels: tuple[np.ndarray, np.ndarray],
    params: InteractionLogParams,
    folder: RawFolder,
) -> dict[str, dict[str, int]]:
    """Write train, valid and test, where rows carry their item's ``levels`` (likes and views); count their rows.

    Where the log has no labels, every click stands with its negatives in random order; all share one history.
    """
    counts = {}
    for number, name in enumerate(SPLITS):
        rows, rng = split.rows[name], np.random.default_rng([params.seed, 1, number])
        law, per_click = params.eval_negatives, params.eval_negatives_per_click
        if name == "train":
            law, per_click = params.train_negatives, params.train_negatives_per_click
        first = clicks = 0
        with table_writer(folder, name) as file:
            for part in chunks(len(rows.event), CHUNK):
                event = rows.event[part]
                user, item, label = log.user[event], log.item[event, None], log.click[event, None]
                if not params.log.label:
                    item = np.column_stack([item, negatives.draw(user, per_click, law, rng)])
                    order = rng.permuted(np.tile(np.arange(item.shape[1]), (len(item), 1)), axis=1)
                    item, label = np.take_along_axis(item, order, axis=1), order == 0
                place = rows.end[part, None] + np.arange(-HISTORY_WIDTH, 0)  # [n, 64], the newest rightmost
                real = place >= rows.begin[part, None]
                history = np.where(real, split.clicked[np.where(real, place, 0)], 0).astype(np.int64)
                columns = {
                    "ID": np.arange(first, first + item.size),
                    "user_id": np.repeat(user, item.shape[1]),
                    "item_seq": np.repeat(history, item.shape[1], axis=0),
                    "item_id": item.ravel(),
                    "likes_level": levels[0][item.ravel() - 1],
                    "views_level": levels[1][item.ravel() - 1],
                    "label": label.ravel().astype(np.int64),
                }
                file.append(columns)
                first, clicks = first + item.size, clicks + int(label.sum())
        counts[name] = {"rows": first, "clicks": clicks}
    return counts


def write_sequences(log: Log, split: Split, items: int, folder: RawFolder) -> None:
    """item_seq: every user's clicks of training time, oldest first, without any item of their valid and test rows."""
    targets = np.concatenate([split.rows[name].event for name in ("valid", "test")])
    hidden = np.unique(log.user[targets].astype(np.int64) * (items + 1) + log.item[targets])
    pair = split.clicker.astype(np.int64) * (items + 1) + split.clicked
    kept = split.early_click & ~np.isin(pair, hidden)
    users, lengths = np.unique(split.clicker[kept], return_counts=True)
    write_item_seq(folder, users, lengths, split.clicked[kept])
