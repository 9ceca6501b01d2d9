"""From the files of a log folder to arrays in our own ids; a mistake is named with file, line, value and expectation.

An interaction is one row of the log; a click is an interaction that counts as positive.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from mmctr_kedro.common.errors import InvalidDataError, MmctrError
from mmctr_kedro.common.words import did_you_mean
from mmctr_kedro.data.settings import InteractionLogParams, ItemTableParams

SHOWN = 5  # problems of one kind that an error lists
TEXT = pa.string()
ID = pa.dictionary(pa.int32(), pa.string())  # ids are few against the rows they stand in

# The log as its file gives it: user, item, time [E] int64, click [E] bool.
_Columns = tuple[pa.DictionaryArray, pa.DictionaryArray, np.ndarray, np.ndarray]


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


def read_log(folder: Path, params: InteractionLogParams) -> tuple[Log, ItemTable]:
    """Read both tables and number users and items from 1, in the order of their source ids."""
    sequences = params.log.format == "sequences"
    names = ("user", "items") if sequences else params.log.columns
    source = _TextTable(folder / params.log.file, params.log.separator, names, "params:import_log.log")
    user, item, time, click = _read_sequences(source) if sequences else _read_rows(source, params)
    if not len(time):
        raise MmctrError(f"{source.path} has no interactions below its header.")
    of = params.items
    item_source = _TextTable(folder / of.file, of.separator, of.columns, "params:import_log.items")
    table_ids, titles, tags = _read_items(item_source, of)
    users, user_place = _sorted_ids(user.dictionary)
    ids, place = _sorted_ids(pa.concat_arrays([item.dictionary.cast(TEXT), table_ids]))
    log_place, table_place = np.split(place, [len(item.dictionary)])
    again = pd.Series(table_place).duplicated().to_numpy()  # "7" and "007" are one
    if problems := item_source.bad_values(of.item, table_ids, again, "one row per item"):
        raise InvalidDataError(problems, f"Leave one row per item in {item_source.path}.")
    user_id, item_id = user_place[user.indices.to_numpy()] + 1, log_place[item.indices.to_numpy()] + 1
    order = np.lexsort((time, user_id))  # stable: equal times stay in the order of the file
    log = Log(user_id[order], item_id[order], time[order], click[order], users)
    all_titles, all_tags = [""] * len(ids), [list[str]() for _ in ids]
    for at, title, words in zip(table_place.tolist(), titles, tags, strict=True):
        all_titles[at], all_tags[at] = title, words
    numbers = np.arange(len(ids))
    return log, ItemTable(ids, all_titles, all_tags, np.isin(numbers, table_place), np.isin(numbers + 1, log.item))


def _read_rows(source: _TextTable, params: InteractionLogParams) -> _Columns:
    """One interaction per row."""
    names = params.log
    rating = names.rating if params.positive_rating is not None else None
    wanted = {names.user: ID, names.item: ID, names.timestamp: TEXT}
    wanted |= {name: TEXT for name in (rating, names.label) if name}
    table = source.read(wanted)
    checks = [
        (names.user, _is_no_id(table[names.user]), "an id"),
        (names.item, _is_no_id(table[names.item]), "an id"),
        (names.timestamp, _not_a_number(table[names.timestamp], pa.int64()), "an integer"),
    ]
    if rating:
        checks.append((rating, _not_a_number(table[rating], pa.float64()), "a number"))
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
        click = np.ones(len(table[names.user]), dtype=bool)
    return table[names.user], table[names.item], table[names.timestamp].cast(pa.int64()).to_numpy(), click


def _read_sequences(source: _TextTable) -> _Columns:
    """One user per row, its items in order of time: an item's time is its place in the file."""
    table = source.read({"user": ID, "items": TEXT})
    users, texts = table["user"], table["items"]
    repeated = pd.Series(users.indices.to_numpy()).duplicated().to_numpy()
    nul = pc.match_substring(texts, "\0").to_numpy(zero_copy_only=False)
    problems = [
        *source.bad_values("user", users, repeated, "one row per user"),
        *source.bad_values("user", users, _is_no_id(users), "an id"),
        *source.bad_values("items", texts, nul, "ids without NUL"),
    ]
    if problems:
        raise InvalidDataError(problems, f"Correct {source.path}, or what {source.block} says about it.")
    items = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))
    item, user = items.flatten(), users.indices.take(pc.list_parent_indices(items))
    kept = pc.not_equal(item, "")  # an empty row splits to one ""
    item, user = item.filter(kept), pa.DictionaryArray.from_arrays(user.filter(kept), users.dictionary)
    return user, item.dictionary_encode(), np.arange(len(item)), np.ones(len(item), dtype=bool)


def _read_items(source: _TextTable, names: ItemTableParams) -> tuple[pa.Array, list[str], list[list[str]]]:
    """Source ids, titles and tags of the item table, as its rows have them."""
    table = source.read({name: TEXT for name in (names.item, names.title, names.tags) if name})
    ids = table[names.item]
    if problems := source.bad_values(names.item, ids, _is_no_id(ids), "an id"):
        raise InvalidDataError(problems, f"Give these rows of {source.path} an id, or leave them out.")
    tags = []
    for text in table[names.tags].to_pylist() if names.tags else [""] * len(ids):
        words = (word.strip() for word in text.split(names.tag_separator))
        tags.append(list(dict.fromkeys(word for word in words if word and word not in names.no_tags)))
    return ids, [title.strip() for title in table[names.title].to_pylist()], tags


@dataclass(frozen=True)
class _TextTable:
    """A text file of rows: where it lies, its separator, and the names of its columns where no header has them."""

    path: Path
    separator: str
    names: tuple[str, ...] | None
    block: str  # the settings that describe it, for errors: "params:import_log.log"

    def read(self, wanted: dict[str, pa.DataType]) -> dict[str, pa.Array]:
        """Read the ``wanted`` columns (name: type) as they are written, values unparsed."""
        self._require_columns(list(wanted))
        misshapen = False

        def refuse(_: arrow_csv.InvalidRow) -> str:
            nonlocal misshapen
            misshapen = True
            return "skip"

        try:
            table = arrow_csv.read_csv(
                self.path,
                arrow_csv.ReadOptions(column_names=list(self.names) if self.names else None),
                arrow_csv.ParseOptions(delimiter=self.separator, newlines_in_values=True, invalid_row_handler=refuse),
                arrow_csv.ConvertOptions(column_types=wanted, include_columns=list(wanted), strings_can_be_null=False),
            )
        except pa.ArrowInvalid as error:
            raise MmctrError(f"{self.path} is no UTF-8 table separated by {self.separator!r}: {error}") from error
        if misshapen:
            width, problems = len(self.names or ()), []
            for line, row in self._rows():
                width = width or len(row)
                if len(row) != width:
                    text = self.separator.join(row)[:80]
                    problems.append(f"{self.path.name}:{line}: {len(row)} values, expected {width}: {text!r}")
            raise InvalidDataError(_first(problems, len(problems)) or [f"{self.path.name}: unbalanced quotes"])
        table = table.unify_dictionaries()
        return {name: table[name].combine_chunks() for name in wanted}

    def bad_values(self, column: str, values: pa.Array, bad: np.ndarray, expected: str) -> list[str]:
        """One problem per row where ``bad`` ``[rows]`` is True, with its line in the file."""
        if not bad.any():
            return []
        rows = np.flatnonzero(bad)
        shown = dict.fromkeys((rows[:SHOWN] + (not self.names)).tolist(), "?")
        shown |= {row: str(line) for row, (line, _) in enumerate(self._rows()) if row in shown}
        problems = [
            f"{self.path.name}:{line}: {column} {str(values[row])!r}, expected {expected}"
            for line, row in zip(shown.values(), rows[:SHOWN].tolist(), strict=True)
        ]
        return _first(problems, len(rows))

    def _require_columns(self, wanted: list[str]) -> None:
        path, block = self.path, self.block
        if not path.is_file():
            found = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
            holds = f"It holds: {', '.join(found[:12])}." if found else "The folder is empty or not there."
            raise MmctrError(
                f"{path} is missing: expected a table with the columns {', '.join(wanted)}. {holds} "
                f"Set log_folder in globals.yml (or --params log_folder=...) and {block}.file; docs/data.md shows "
                "how, and --env movielens and --env microlens_log are examples."
            )
        _, first = next(self._rows(), (0, []))
        if self.names and len(first) != len(self.names):
            raise MmctrError(
                f"{path} has {len(first)} columns in line 1, {block}.columns names {len(self.names)}: "
                f"{', '.join(self.names)}."
            )
        known, problems = self.names or first, []
        for name in wanted:
            if (times := known.count(name)) > 1:
                problems.append(f"{path.name}: {times} columns are named '{name}', expected one.")
            elif not times:
                has = f"{did_you_mean(name, known, 0.7)} It has: {', '.join(known)[:500]}."
                problems.append(f"{path.name}: no column '{name}'.{has}")
        if problems:
            raise InvalidDataError(problems, f"Set the names, separator and columns of {path} in {block}.")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows with the number of the line they end in, empty lines left out, as pyarrow leaves them out."""
        with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            pieces = iter(lambda: file.readline(1 << 20), "")  # pyarrow takes no row that is longer
            reader = csv.reader(pieces, delimiter=self.separator)
            try:
                yield from ((reader.line_num, row) for row in reader if row)
            except csv.Error as error:  # a value without end: quotes that are never closed
                raise MmctrError(f"{self.path}:{reader.line_num}: {error}; are quotes unbalanced above?") from error


def _first(problems: list[str], count: int) -> list[str]:
    more = [f"... and {count - SHOWN:,} more rows of this kind"] if count > SHOWN else []
    return [*problems[:SHOWN], *more]


def _not_a_number(values: pa.Array, kind: pa.DataType) -> np.ndarray:
    """Which strings do not hold a number of type ``kind``: ``[rows]`` bool."""
    pattern = r"^-?\d{1,18}$" if pa.types.is_integer(kind) else r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
    return ~pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)


def _is_no_id(values: pa.Array) -> np.ndarray:
    """Which strings, in a dictionary or not, are blank or hold NUL, which numpy would cut off: ``[n]`` bool."""
    if pa.types.is_dictionary(values.type):
        return _is_no_id(values.dictionary)[values.indices.to_numpy()]
    blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0)
    return pc.or_(blank, pc.match_substring(values, "\0")).to_numpy(zero_copy_only=False)


def _sorted_ids(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Distinct ids in order, and the place of each of ``values`` among them.

    Ids that are all whole numbers are compared, ordered and kept as int64 ("007" is 7), others as strings.
    """
    trimmed = pc.utf8_trim_whitespace(values)
    if not len(values) or _not_a_number(trimmed, pa.int64()).any():
        plain = trimmed.to_numpy(zero_copy_only=False).astype(str)
    else:
        plain = trimmed.cast(pa.int64()).to_numpy()
    ids, place = np.unique(plain, return_inverse=True)
    return ids, place.astype(np.int32)
