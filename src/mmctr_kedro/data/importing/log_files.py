"""From the files of a log folder to arrays in our own ids.

An interaction is one row of the log; a click is an interaction that counts as positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kedro.common.errors import InvalidDataError, MmctrError
from mmctr_kedro.data.importing.log_tables import (
    ID,
    TEXT,
    TextTable,
    is_no_id,
    is_repeated,
    not_a_number,
    sorted_ids,
)
from mmctr_kedro.data.settings import InteractionLogParams, ItemTableParams


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


class _Columns(NamedTuple):
    """The log as its file gives it."""

    user: pa.DictionaryArray
    item: pa.DictionaryArray
    time: np.ndarray  # [E] int64
    click: np.ndarray  # [E] bool


def read_log(folder: Path, params: InteractionLogParams) -> tuple[Log, ItemTable]:
    """Read both tables and number users and items from 1, in the order of their source ids."""
    source = TextTable.of(folder, params.log, "params:import_log.log")
    user, item, time, click = (_read_sequences if params.log.format == "sequences" else _read_rows)(source, params)
    if not len(time):
        raise MmctrError(f"{source.path} has no interactions below its header.")
    item_source = TextTable.of(folder, params.items, "params:import_log.items")
    table_ids, titles, tags = _read_items(item_source, params.items)
    users, user_place = sorted_ids(user.dictionary)
    ids, place = sorted_ids(pa.concat_arrays([item.dictionary.cast(TEXT), table_ids]))
    log_place, table_place = np.split(place, [len(item.dictionary)])
    again = is_repeated(table_place)  # "7" and "007" are one
    if problems := item_source.bad_values(params.items.item, table_ids, again, "one row per item"):
        raise InvalidDataError(problems, f"Leave one row per item in {item_source.path}.")
    user_id, item_id = user_place[user.indices.to_numpy()] + 1, log_place[item.indices.to_numpy()] + 1
    order = np.lexsort((time, user_id))  # stable: equal times stay in the order of the file
    log = Log(user_id[order], item_id[order], time[order], click[order], users)
    all_titles, all_tags = [""] * len(ids), [list[str]() for _ in ids]
    for at, title, words in zip(table_place.tolist(), titles, tags, strict=True):
        all_titles[at], all_tags[at] = title, words
    numbers = np.arange(len(ids))
    return log, ItemTable(ids, all_titles, all_tags, np.isin(numbers, table_place), np.isin(numbers + 1, log.item))


def _read_rows(source: TextTable, params: InteractionLogParams) -> _Columns:
    """One interaction per row."""
    names = params.log
    rating = names.rating if params.positive_rating is not None else None
    wanted = {names.user: ID, names.item: ID, names.timestamp: TEXT}
    wanted |= {name: TEXT for name in (rating, names.label) if name}
    read = source.read(wanted)
    table = {name: read[name].combine_chunks() for name in wanted}
    checks = [
        (names.user, is_no_id(table[names.user]), "an id"),
        (names.item, is_no_id(table[names.item]), "an id"),
        (names.timestamp, not_a_number(table[names.timestamp], pa.int64()), "an integer"),
    ]
    if rating:
        checks.append((rating, not_a_number(table[rating], pa.float64()), "a number"))
    if names.label:
        known = pc.is_in(table[names.label], pa.array(["0", "1"])).to_numpy(zero_copy_only=False)
        checks.append((names.label, ~known, "0 or 1"))
    if problems := [line for name, bad, kind in checks for line in source.bad_values(name, table[name], bad, kind)]:
        raise InvalidDataError(problems, f"Correct {source.path}, or what {source.block} says about it.")
    if names.label:
        click = pc.equal(table[names.label], "1").to_numpy(zero_copy_only=False)
    elif rating:
        click = table[rating].cast(pa.float64()).to_numpy() >= params.positive_rating
    else:
        click = np.ones(len(read), dtype=bool)
    return _Columns(table[names.user], table[names.item], table[names.timestamp].cast(pa.int64()).to_numpy(), click)


def _read_sequences(source: TextTable, _: InteractionLogParams) -> _Columns:
    """One user per row, its items in order of time: an item's time is its place in the row."""
    table = source.read({"user": ID, "items": TEXT})
    users, texts = table["user"].combine_chunks(), table["items"].combine_chunks()
    nul = pc.match_substring(texts, "\0").to_numpy(zero_copy_only=False)
    problems = [
        *source.bad_values("user", users, is_repeated(users.indices.to_numpy()), "one row per user"),
        *source.bad_values("user", users, is_no_id(users), "an id"),
        *source.bad_values("items", texts, nul, "ids without NUL"),
    ]
    if problems:
        raise InvalidDataError(problems, f"Correct {source.path}, or what {source.block} says about it.")
    items = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))
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


def _read_items(source: TextTable, names: ItemTableParams) -> tuple[pa.Array, list[str], list[list[str]]]:
    """Source ids, titles and tags of the item table, as its rows have them."""
    table = source.read({name: TEXT for name in (names.item, names.title, names.tags) if name})
    ids = table[names.item].combine_chunks()
    if problems := source.bad_values(names.item, ids, is_no_id(ids), "an id"):
        raise InvalidDataError(problems, f"Give these rows of {source.path} an id, or leave them out.")
    tags = []
    for text in table[names.tags].to_pylist() if names.tags else [""] * len(ids):
        words = (word.strip() for word in text.split(names.tag_separator))
        tags.append(list(dict.fromkeys(word for word in words if word and word not in names.no_tags)))
    return ids, [title.strip() for title in table[names.title].to_pylist()], tags
