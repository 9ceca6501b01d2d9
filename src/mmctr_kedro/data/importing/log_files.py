"""From the files of a log folder to arrays in our own ids.

An interaction is one row of the log; a click is an interaction that counts as positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kedro.common.errors import InvalidDataError, MmctrError
from mmctr_kedro.common.params import InteractionLogParams, ItemTableParams, LogTableParams
from mmctr_kedro.data.importing.log_tables import ID, TEXT, bad_values, is_empty, not_a_number, read_table, sorted_ids


@dataclass(frozen=True)
class Log:
    """E interactions in order of user, then time, then place in the file."""

    user: np.ndarray  # [E] int32, 1..U
    item: np.ndarray  # [E] int32, 1..N
    time: np.ndarray  # [E] int64
    click: np.ndarray  # [E] bool
    users: np.ndarray  # [U] source ids, ascending; our id is the place + 1


@dataclass(frozen=True)
class ItemTable:
    """N items of item table and log together, ascending in source id; our id is the place + 1."""

    ids: np.ndarray  # [N] source ids, int64 or str
    titles: list[str]  # "" where the item table has no row
    tags: list[list[str]]
    in_table: np.ndarray  # [N] bool
    in_log: np.ndarray  # [N] bool


@dataclass(frozen=True)
class _Columns:
    """The log as its file gives it."""

    user: pa.DictionaryArray
    item: pa.DictionaryArray
    time: np.ndarray  # [E] int64
    click: np.ndarray  # [E] bool


def read_log(folder: Path, params: InteractionLogParams) -> tuple[Log, ItemTable]:
    """Read both tables and number users and items from 1, in the order of their source ids."""
    columns = _read_sequences(folder, params.log) if params.log.format == "sequences" else _read_rows(folder, params)
    if not len(columns.time):
        raise MmctrError(f"{folder / params.log.file} has no interactions below its header.")
    table = _read_items(folder, params.items)
    users, user_place = sorted_ids(columns.user.dictionary)
    known = len(columns.item.dictionary)
    ids, place = sorted_ids(pa.concat_arrays([columns.item.dictionary.cast(TEXT), table["item"].cast(TEXT)]))
    user = user_place[columns.user.indices.to_numpy()] + 1
    order = np.lexsort((columns.time, user))  # stable: equal times stay in the order of the file
    item = place[:known][columns.item.indices.to_numpy()] + 1
    log = Log(user[order], item[order], columns.time[order], columns.click[order], users)
    return log, _item_table(folder / params.items.file, params.items, ids, table, place[known:], log)


# --- the log ---------------------------------------------------------------------------------------------


def _read_rows(folder: Path, params: InteractionLogParams) -> _Columns:
    """One interaction per row."""
    names = params.log
    path = folder / names.file
    rating = names.rating if params.positive_rating is not None else None
    wanted = {names.user: ID, names.item: ID, names.timestamp: TEXT}
    wanted |= {name: TEXT for name in (rating, names.label) if name}
    table = read_table(path, names.separator, names.columns, wanted, "params:import_log.log")
    problems: list[str] = []

    def check(column: str, bad: np.ndarray, expected: str) -> None:
        if bad.any():
            values = table[column].combine_chunks()
            problems.extend(bad_values(path, names.separator, not names.columns, column, values, bad, expected))

    for column in (names.user, names.item):
        check(column, _empty(table[column]), "an id")
    check(names.timestamp, not_a_number(table[names.timestamp], pa.int64()), "an integer")
    if rating:
        check(rating, not_a_number(table[rating], pa.float64()), "a number")
    if names.label:
        known = pc.is_in(table[names.label], pa.array(["0", "1"])).to_numpy(zero_copy_only=False)
        check(names.label, ~known, "0 or 1")
    if problems:
        raise InvalidDataError(problems, f"Correct {path}, or what params:import_log.log says about it.")
    return _Columns(
        table[names.user].combine_chunks(),
        table[names.item].combine_chunks(),
        table[names.timestamp].cast(pa.int64()).to_numpy(),
        _clicks(table, rating, params.positive_rating, names.label),
    )


def _empty(values: pa.ChunkedArray) -> np.ndarray:
    codes = values.combine_chunks()
    return is_empty(codes.dictionary)[codes.indices.to_numpy()]


def _clicks(table: pa.Table, rating: str | None, threshold: float | None, label: str | None) -> np.ndarray:
    if label:
        return pc.equal(table[label], "1").to_numpy(zero_copy_only=False)
    if rating:
        return table[rating].cast(pa.float64()).to_numpy() >= threshold
    return np.ones(len(table), dtype=bool)


def _read_sequences(folder: Path, names: LogTableParams) -> _Columns:
    """One user per row, its items in order of time: an item's time is its place in the row."""
    path = folder / names.file
    columns = {"user": ID, "items": TEXT}
    table = read_table(path, names.separator, list(columns), columns, "params:import_log.log")
    users = table["user"].combine_chunks()
    _, again = np.unique(users.indices.to_numpy(), return_index=True)
    repeated = np.ones(len(users), dtype=bool)
    repeated[again] = False
    empty = _empty(table["user"])
    problems = [
        *bad_values(path, names.separator, False, "user", users, repeated, "one row per user"),
        *bad_values(path, names.separator, False, "user", users, empty, "an id"),
    ]
    if problems:
        raise InvalidDataError(problems, f"Correct {path}, or what params:import_log.log says about it.")
    items = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(table["items"])).combine_chunks()
    length = pc.list_value_length(items).to_numpy()
    flat = items.flatten()
    kept = pc.greater(pc.utf8_length(flat), 0).to_numpy(zero_copy_only=False)  # an empty row splits to one ""
    user = np.repeat(users.indices.to_numpy(), length)
    time = np.arange(len(flat)) - np.repeat(np.cumsum(length) - length, length)
    return _Columns(
        pa.DictionaryArray.from_arrays(pa.array(user[kept], pa.int32()), users.dictionary),
        flat.filter(pa.array(kept)).dictionary_encode(),
        time[kept].astype(np.int64),
        np.ones(int(kept.sum()), dtype=bool),
    )


# --- the items -------------------------------------------------------------------------------------------


def _read_items(folder: Path, names: ItemTableParams) -> dict[str, pa.Array]:
    """Columns item, title and, where there are any, tags."""
    wanted = {names.item: TEXT, names.title: TEXT} | ({names.tags: TEXT} if names.tags else {})
    path = folder / names.file
    table = read_table(path, names.separator, names.columns, wanted, "params:import_log.items")
    ids = table[names.item].combine_chunks()
    problems = bad_values(path, names.separator, not names.columns, names.item, ids, is_empty(ids), "an id")
    if problems:
        raise InvalidDataError(problems, f"Give these rows of {path} an id, or leave them out.")
    named = {"item": names.item, "title": names.title} | ({"tags": names.tags} if names.tags else {})
    return {key: table[name].combine_chunks() for key, name in named.items()}


def _item_table(
    path: Path,
    names: ItemTableParams,
    ids: np.ndarray,
    table: dict[str, pa.Array],
    place: np.ndarray,
    log: Log,
) -> ItemTable:
    """Spread the rows of the item table, which stand at ``place``, over all N items."""
    _, first = np.unique(place, return_index=True)
    repeated = np.ones(len(place), dtype=bool)
    repeated[first] = False
    if repeated.any():
        problems = bad_values(
            path, names.separator, not names.columns, names.item, table["item"], repeated, "one row per item"
        )
        raise InvalidDataError(problems, f"Leave one row per item in {path}.")
    titles = [""] * len(ids)
    tags: list[list[str]] = [[] for _ in ids]
    texts = table["tags"].to_pylist() if "tags" in table else [""] * len(place)
    for at, title, text in zip(place.tolist(), table["title"].to_pylist(), texts, strict=True):
        titles[at] = title.strip()
        words = (word.strip() for word in text.split(names.tag_separator))
        tags[at] = list(dict.fromkeys(word for word in words if word and word not in names.no_tags))
    in_log, in_table = np.zeros(len(ids), dtype=bool), np.zeros(len(ids), dtype=bool)
    in_log[log.item - 1] = True
    in_table[place] = True
    return ItemTable(ids, titles, tags, in_table, in_log)
