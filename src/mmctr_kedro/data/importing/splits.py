"""Which interactions become rows of train, valid and test, and with which history.

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

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import InteractionLogParams
from mmctr_kedro.data.challenge import HISTORY_WIDTH
from mmctr_kedro.data.importing.log_files import Log

SPLITS = ("train", "valid", "test")


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
    click = log.click if labelled else _first_clicks(log)
    users = np.arange(1, len(log.users) + 2)
    event_start = np.searchsorted(log.user, users)
    clicks_before = np.concatenate([[0], np.cumsum(click)])  # [E + 1]
    click_start = clicks_before[event_start]
    click_event = np.append(np.flatnonzero(click), len(click))
    same_time = _group_start(log)

    def begins_at(place: np.ndarray) -> np.ndarray:
        """The event where a split begins whose first click is number ``place``, for every user."""
        event = click_event[place]
        event = np.append(same_time, len(same_time))[event] if labelled else event
        return np.where(place < click_start[1:], event, event_start[1:])

    first_test, first_valid, first_train = _first_targets(click_start, params, rng)
    begin = {"test": begins_at(first_test), "valid": begins_at(first_valid), "train": event_start[:-1]}
    if params.train_clicks_per_user is not None:
        begin["train"] = begins_at(first_train)
    event_split = _split_of_events(log, begin)
    eligible = clicks_before[:-1] - click_start[log.user - 1] >= params.min_history
    target = eligible & (True if labelled else click)
    rows = {}
    for number, name in enumerate(SPLITS):
        event = np.flatnonzero(target & (event_split == number))
        user = log.user[event] - 1
        end = clicks_before[same_time[event]]
        if name != "train":
            end = np.minimum(end, clicks_before[begin[name][user]])
        rows[name] = Rows(event, np.maximum(click_start[user], end - HISTORY_WIDTH), end)
    _require_rows(rows, np.diff(click_start), params)
    early = np.arange(len(log.user)) < begin["valid"][log.user - 1]
    return Split(log.item[click], log.user[click], rows, early[click], early, int(log.click.sum() - click.sum()))


def _first_clicks(log: Log) -> np.ndarray:
    """The clicks on items that their user has not clicked before: ``[E]`` bool."""
    events = np.flatnonzero(log.click)
    pairs = log.user[events].astype(np.int64) << 32 | log.item[events]
    first = np.zeros(len(log.user), dtype=bool)
    first[events[np.unique(pairs, return_index=True)[1]]] = True
    return first


def _group_start(log: Log) -> np.ndarray:
    """The first event of the same user at the same time: ``[E]`` int64."""
    new = np.ones(len(log.user), dtype=bool)
    new[1:] = (np.diff(log.user) != 0) | (np.diff(log.time) != 0)
    return np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))


def _first_targets(
    click_start: np.ndarray, params: InteractionLogParams, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of each user's first click in test, in valid and in train: three ``[U]`` int64."""
    start, end = click_start[:-1], click_start[1:]
    room = np.maximum(end - start - params.min_history, 0)  # clicks that may be targets
    in_valid, in_test = (_drawn(room > 0, count, rng) for count in (params.valid_users, params.test_users))
    tests = np.where(in_test, np.minimum(room, params.eval_clicks_per_user), 0)
    valids = np.where(in_valid, np.minimum(room - tests, params.eval_clicks_per_user), 0)
    first_test = end - tests
    first_valid = first_test - valids
    trains = room - tests - valids
    if params.train_clicks_per_user is not None:
        trains = np.minimum(trains, params.train_clicks_per_user)
    return first_test, first_valid, first_valid - trains


def _drawn(candidates: np.ndarray, count: int | None, rng: np.random.Generator) -> np.ndarray:
    """``count`` of the candidates at random, or all of them: ``[U]`` bool."""
    places = rng.permutation(np.flatnonzero(candidates))[:count]
    drawn = np.zeros(len(candidates), dtype=bool)
    drawn[places] = True
    return drawn


def _split_of_events(log: Log, begin: dict[str, np.ndarray]) -> np.ndarray:
    """Number of the split that every event falls into, -1 before train begins: ``[E]`` int64."""
    event, user = np.arange(len(log.user)), log.user - 1
    return sum((event >= begin[name][user]).astype(np.int64) for name in SPLITS) - 1


def _require_rows(rows: dict[str, Rows], clicks: np.ndarray, params: InteractionLogParams) -> None:
    if not len(clicks) or clicks.max() <= params.min_history:
        raise MmctrError(
            f"no user has {params.min_history + 1} clicks: the most are {clicks.max(initial=0)}. Each row "
            f"needs {params.min_history} clicks before it. Lower params:import_log.positive_rating (now "
            f"{params.positive_rating}) or params:import_log.min_history, or bring a longer log."
        )
    for name, found in rows.items():
        if not len(found.event):
            raise MmctrError(
                f"no rows for {name}: the most clicks of a user are {clicks.max()}, of which "
                f"{params.min_history} are only history, the last {params.eval_clicks_per_user} are test and "
                "as many before them valid. Lower params:import_log.eval_clicks_per_user or bring a longer "
                "log."
            )
