"""The user side of an import: which interactions become rows of train, valid and test, and with which history.

The rules, for the clicks c1, c2, ... of one user in order of time, equal times in the order of the file:

- A click on an item that the user has clicked before is no click (the first one counts): negatives are never
  in the history, so a target in the history would give itself away. Impressions with labels of their own are
  kept as they are.
- Every click from the 4th on (``min_history`` + 1) is a row. Of these the last ``eval_clicks_per_user`` are
  test, as many before them valid, the others train, or of these the newest ``train_clicks_per_user``.
- A history is the clicks strictly earlier than its row's time, so clicks at the same time are never parted
  into history and target; and of these only the ones before the first target of the row's split, so no valid
  or test row shows the answer to another of its split. The newest 64 are kept.
- With labels of its own every impression is a row of the split that its time falls into. A split begins at
  the time of its first click, with every impression of that time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import HISTORY_WIDTH, SPLITS, RawFolder
from mmctr_kedro.data.challenge_writer import chunks, table_writer, write_item_seq
from mmctr_kedro.data.importing.log_files import Log
from mmctr_kedro.data.importing.negatives import Negatives
from mmctr_kedro.data.settings import InteractionLogParams

CHUNK = 50_000  # target interactions per row group


@dataclass(frozen=True)
class Rows:
    """R interactions that are rows of one split, in log order; histories are slices of ``Split.clicked``."""

    event: np.ndarray  # [R] int64, place in the log
    begin: np.ndarray  # [R] int64
    end: np.ndarray  # [R] int64


@dataclass(frozen=True)
class Split:
    """The log, split. C clicks count, in the log's order."""

    clicked: np.ndarray  # [C] int32 items
    clicker: np.ndarray  # [C] int32 users
    rows: dict[str, Rows]
    early_click: np.ndarray  # [C] bool, before the user's first valid or test target
    early_event: np.ndarray  # [E] bool, the same for every interaction
    repeats: int  # clicks that did not count


def split_log(log: Log, params: InteractionLogParams, rng: np.random.Generator) -> Split:
    """Split by the rules above."""
    labelled = params.log.label is not None
    events = np.arange(len(log.user))
    click = log.click.copy()
    if not labelled:  # only a user's first click on an item counts
        click[click] = ~pd.DataFrame({"user": log.user[click], "item": log.item[click]}).duplicated().to_numpy()
    new_time = np.ones(len(events), dtype=bool)
    new_time[1:] = (np.diff(log.user) != 0) | (np.diff(log.time) != 0)
    same_time = np.maximum.accumulate(np.where(new_time, events, 0))  # [E], the user's first event at that time
    event_start = np.searchsorted(log.user, np.arange(1, len(log.users) + 2))  # [U + 1]
    clicks_before = np.concatenate([[0], np.cumsum(click)])  # [E + 1]
    click_start = clicks_before[event_start]
    if not click.any() or np.diff(click_start).max() <= params.min_history:
        raise MmctrError(
            f"no user has {params.min_history + 1} clicks: the most are {np.diff(click_start).max(initial=0)}. Each "
            f"row needs {params.min_history} clicks before it. Lower params:import_log.positive_rating (now "
            f"{params.positive_rating}) or params:import_log.min_history, or bring a longer log."
        )
    click_event = np.append(np.flatnonzero(click), len(events))

    def begins_at(place: np.ndarray) -> np.ndarray:
        """The event where a split begins whose first click is number ``place``, for every user."""
        event = click_event[place]
        event = np.append(same_time, len(events))[event] if labelled else event
        return np.where(place < click_start[1:], event, event_start[1:])

    # The number of every user's first click in each split.
    room = np.maximum(np.diff(click_start) - params.min_history, 0)  # clicks that may be targets
    in_valid, in_test = (_drawn(room > 0, count, rng) for count in (params.valid_users, params.test_users))
    tests = np.where(in_test, np.minimum(room, params.eval_clicks_per_user), 0)
    valids = np.where(in_valid, np.minimum(room - tests, params.eval_clicks_per_user), 0)
    first_test = click_start[1:] - tests
    first_valid = first_test - valids
    begin = {"train": event_start[:-1], "valid": begins_at(first_valid), "test": begins_at(first_test)}
    if params.train_clicks_per_user is not None:
        begin["train"] = begins_at(first_valid - np.minimum(room - tests - valids, params.train_clicks_per_user))
    # The number of the split that every event falls into; -1 before train begins.
    falls_into = sum((events >= begin[name][log.user - 1]).astype(np.int64) for name in SPLITS) - 1
    target = clicks_before[:-1] - click_start[log.user - 1] >= params.min_history
    if not labelled:
        target &= click
    rows = {}
    for number, name in enumerate(SPLITS):
        event = np.flatnonzero(target & (falls_into == number))
        if not len(event):
            raise MmctrError(
                f"no rows for {name}: the most clicks of a user are {np.diff(click_start).max()}, of which "
                f"{params.min_history} are only history, the last {params.eval_clicks_per_user} are test and "
                "as many before them valid. Lower params:import_log.eval_clicks_per_user or bring a longer log."
            )
        user = log.user[event] - 1
        end = clicks_before[same_time[event]]
        if name != "train":
            end = np.minimum(end, clicks_before[begin[name][user]])
        rows[name] = Rows(event, np.maximum(click_start[user], end - HISTORY_WIDTH), end)
    early = events < begin["valid"][log.user - 1]
    return Split(log.item[click], log.user[click], rows, early[click], early, int(log.click.sum() - click.sum()))


def _drawn(candidates: np.ndarray, count: int | None, rng: np.random.Generator) -> np.ndarray:
    """``count`` of the candidates at random, or all of them: ``[U]`` bool."""
    drawn = np.zeros(len(candidates), dtype=bool)
    drawn[rng.permutation(np.flatnonzero(candidates))[:count]] = True
    return drawn


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
        with table_writer(folder, name) as append:
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
                append(columns)
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
