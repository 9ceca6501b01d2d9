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
import pyarrow as pa

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import HISTORY_WIDTH, SPLITS, RawFolder
from mmctr_kedro.data.challenge_writer import chunks, table_writer
from mmctr_kedro.data.importing.log_files import Interactions, Log, arrays, count_rows
from mmctr_kedro.data.importing.negatives import Negatives
from mmctr_kedro.data.jagged import offsets_of
from mmctr_kedro.data.settings import InteractionLogParams

CHUNK = 50_000  # target interactions per row group
USERS = 200_000  # users per row group of item_seq


@dataclass(frozen=True)
class Split:
    """What there is to count in a split log. The split itself is tables of the log's database, in the log's order.

    ``clicked`` (user, item) holds the clicks that count; ``train``, ``valid`` and ``test`` (user, item, label, oldest,
    newest) the interactions that are rows, whose histories are their user's clicks from number ``oldest`` to before
    ``newest``, counted from 0; ``sequences`` (user_id, item_seq) each user's clicks of training time, oldest first,
    without any item of their valid and test rows.
    """

    clicks: np.ndarray  # [N] int64, those before the user's first valid or test target
    views: np.ndarray  # [N] int64, the same of every interaction
    repeats: int  # clicks that did not count


def split_log(log: Log, items: int, params: InteractionLogParams, rng: np.random.Generator) -> Split:
    """Split by the rules above, some users at a time."""
    database, most, may = log.database, 0, np.zeros(log.users, dtype=bool)
    for part in log.parts():
        clicks = np.bincount(part.user[_counted(part, params)] - part.first, minlength=part.end - part.first)
        most, may[part.first - 1 : part.end - 1] = max(most, int(clicks.max())), clicks > params.min_history
    if not may.any():
        raise MmctrError(
            f"no user has {params.min_history + 1} clicks: the most are {most}. Each "
            f"row needs {params.min_history} clicks before it. Lower params:import_log.positive_rating (now "
            f"{params.positive_rating}) or params:import_log.min_history, or bring a longer log."
        )
    in_valid, in_test = (_drawn(may, count, rng) for count in (params.valid_users, params.test_users))
    columns = {"clicked": "user integer, item integer", "sequences": "user_id bigint, item_seq bigint[]"}
    columns |= dict.fromkeys(SPLITS, "user integer, item integer, label boolean, oldest integer, newest integer")
    for name, of in columns.items():
        database.execute(f"create table {name} ({of})")
    clicks, views, repeats = *np.zeros((2, items), dtype=np.int64), 0
    database.begin()
    for part in log.parts():
        users, counted = slice(part.first - 1, part.end - 1), _counted(part, params)
        tables, early = _split_users(part, counted, in_valid[users], in_test[users], params)
        for name, rows in tables.items():
            database.register("rows", rows)
            database.execute(f"insert into {name} from rows")
        clicks += np.bincount(part.item[counted & early] - 1, minlength=items)
        views += np.bincount(part.item[early] - 1, minlength=items)
        repeats += int(part.click.sum() - counted.sum())
    database.commit()
    for name in SPLITS:
        if not count_rows(database, name):
            raise MmctrError(
                f"no rows for {name}: the most clicks of a user are {most}, of which "
                f"{params.min_history} are only history, the last {params.eval_clicks_per_user} are test and "
                "as many before them valid. Lower params:import_log.eval_clicks_per_user or bring a longer log."
            )
    return Split(clicks, views, repeats)


def _counted(part: Interactions, params: InteractionLogParams) -> np.ndarray:
    """The clicks that count, ``[E]`` bool: without labels, only a user's first click on an item."""
    click = part.click.copy()
    if not params.log.label:
        pairs = part.user[click].astype(np.int64) << 32 | part.item[click]
        click[click] = ~pd.Series(pairs).duplicated().to_numpy()
    return click


def _split_users(
    part: Interactions, click: np.ndarray, in_valid: np.ndarray, in_test: np.ndarray, params: InteractionLogParams
) -> tuple[dict[str, pa.Table], np.ndarray]:
    """Split the interactions of some users, of which ``click`` count.

    Returns:
        tables: What they add to the tables of ``Split``.
        early: What comes before their first valid or test target, ``[E]`` bool.
    """
    labelled, user = params.log.label is not None, part.user - part.first
    events = np.arange(len(user))
    new_time = np.ones(len(events), dtype=bool)
    new_time[1:] = (np.diff(user) != 0) | (np.diff(part.time) != 0)
    same_time = np.maximum.accumulate(np.where(new_time, events, 0))  # [E], the user's first event at that time
    event_start = np.searchsorted(user, np.arange(part.end - part.first + 1))  # [U + 1]
    clicks_before = np.concatenate([[0], np.cumsum(click)])  # [E + 1]
    click_start = clicks_before[event_start]
    click_event = np.append(np.flatnonzero(click), len(events))

    def begins_at(place: np.ndarray) -> np.ndarray:
        """The event where a split begins whose first click is number ``place``, for every user."""
        event = click_event[place]
        event = np.append(same_time, len(events))[event] if labelled else event
        return np.where(place < click_start[1:], event, event_start[1:])

    # The number of every user's first click in each split.
    room = np.maximum(np.diff(click_start) - params.min_history, 0)  # clicks that may be targets
    tests = np.where(in_test, np.minimum(room, params.eval_clicks_per_user), 0)
    valids = np.where(in_valid, np.minimum(room - tests, params.eval_clicks_per_user), 0)
    first_test = click_start[1:] - tests
    first_valid = first_test - valids
    begin = {"train": event_start[:-1], "valid": begins_at(first_valid), "test": begins_at(first_test)}
    if params.train_clicks_per_user is not None:
        begin["train"] = begins_at(first_valid - np.minimum(room - tests - valids, params.train_clicks_per_user))
    # The number of the split that every event falls into; -1 before train begins.
    falls_into = sum((events >= begin[name][user]).astype(np.int64) for name in SPLITS) - 1
    target = clicks_before[:-1] - click_start[user] >= params.min_history
    if not labelled:
        target &= click
    tables = {"clicked": pa.table({"user": part.user[click], "item": part.item[click]})}
    for number, name in enumerate(SPLITS):
        event = np.flatnonzero(target & (falls_into == number))
        newest = clicks_before[same_time[event]]
        if name != "train":
            newest = np.minimum(newest, clicks_before[begin[name][user[event]]])
        newest = newest - click_start[user[event]]
        columns = {"user": part.user, "item": part.item, "label": part.click}
        rows = {column: values[event] for column, values in columns.items()}
        tables[name] = pa.table({**rows, "oldest": np.maximum(newest - HISTORY_WIDTH, 0), "newest": newest})
    early = events < begin["valid"][user]
    pair = part.user.astype(np.int64) << 32 | part.item
    shown = click & early & ~np.isin(pair, pair[target & (falls_into > 0)])
    users, lengths = np.unique(part.user[shown], return_counts=True)
    lists = pa.ListArray.from_arrays(pa.array(offsets_of(lengths), pa.int32()), pa.array(part.item[shown]))
    tables["sequences"] = pa.table({"user_id": users, "item_seq": lists})
    return tables, early


def _drawn(candidates: np.ndarray, count: int | None, rng: np.random.Generator) -> np.ndarray:
    """``count`` of the candidates at random, or all of them: ``[U]`` bool."""
    drawn = np.zeros(len(candidates), dtype=bool)
    drawn[rng.permutation(np.flatnonzero(candidates))[:count]] = True
    return drawn


def write_rows(
    log: Log,
    popularity: np.ndarray,
    levels: tuple[np.ndarray, np.ndarray],
    params: InteractionLogParams,
    folder: RawFolder,
) -> dict[str, dict[str, int]]:
    """Write train, valid and test, where rows carry their item's ``levels`` (likes and views); count their rows.

    Where the log has no labels, every click stands with its negatives in random order; all share one history.
    """
    counts, database = {}, log.database
    for number, name in enumerate(SPLITS):
        rng = np.random.default_rng([params.seed, 1, number])
        law, per_click = params.eval_negatives, params.eval_negatives_per_click
        if name == "train":
            law, per_click = params.train_negatives, params.train_negatives_per_click
        first = clicks = 0
        with table_writer(folder, name) as append:
            for part in chunks(count_rows(database, name), CHUNK):
                chosen = f"rowid >= {part.start} and rowid < {part.stop} order by rowid"
                rows = arrays(database, f"select * from {name} where {chosen}")
                user, item, label = rows["user"], rows["item"][:, None], rows["label"][:, None]
                database.register("theirs", pa.table({"user": np.unique(user)}))
                clicks_of = "select user, item from clicked semi join theirs using (user) order by clicked.rowid"
                clicked = arrays(database, clicks_of)
                if not params.log.label:
                    negatives = Negatives(clicked["user"], clicked["item"], popularity)
                    item = np.column_stack([item, negatives.draw(user, per_click, law, rng)])
                    order = rng.permuted(np.tile(np.arange(item.shape[1]), (len(item), 1)), axis=1)
                    item, label = np.take_along_axis(item, order, axis=1), order == 0
                start = np.searchsorted(clicked["user"], user)
                # [n, 64], the newest rightmost
                place = (start + rows["newest"])[:, None] + np.arange(-HISTORY_WIDTH, 0)
                real = place >= (start + rows["oldest"])[:, None]
                history = np.where(real, clicked["item"][np.where(real, place, 0)], 0).astype(np.int64)
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


def write_sequences(log: Log, folder: RawFolder) -> None:
    """item_seq, from the table of that kind."""
    with table_writer(folder, "item_seq") as append:
        for part in chunks(count_rows(log.database, "sequences"), USERS):
            rows = f"from sequences where rowid >= {part.start} and rowid < {part.stop} order by rowid"
            table = log.database.sql(rows).to_arrow_table()
            append({name: table[name].combine_chunks() for name in table.column_names})
