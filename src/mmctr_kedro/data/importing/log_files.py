"""From the files of a log folder to arrays in our own ids; a mistake is named with file, line, value and expectation.

An interaction is one row of the log; a click is an interaction that counts as positive.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from mmctr_kedro.common.errors import InvalidDataError, MmctrError
from mmctr_kedro.common.words import did_you_mean
from mmctr_kedro.data.settings import InteractionLogParams, TextTableParams

logger = logging.getLogger(__name__)

SHOWN = 5  # problems of one kind that an error lists
TEXT = pa.string()
ID = pa.dictionary(pa.int32(), pa.string())  # ids are few against the rows they stand in

_INTEGER = r"^-?0*([0-8]?\d{1,18}|9[01]\d{17})$"  # fits int64
_FLOAT = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_TIME = rf"{_INTEGER}|^-?\d{{1,15}}\.\d*$"
_ROUNDED = r"^-?(\d(\.\d+)?[eE]\+\d+|\d{16,}\.0*)$"  # what a float makes of a long id
_MISSING = pa.array(["nan", "none", "null", "<na>"])
_OBJECT = r"^\s*\[?\s*\{"
_LISTED = re.compile(r"""'([^']*)'|"([^"]*)"|([^\s,'"][^,]*)""")  # the words of a list that Python or JSON wrote

# The log as its file gives it: user, item, time [E] int64 or float64, click [E] bool.
_Columns = tuple[pa.DictionaryArray, pa.DictionaryArray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Log:
    """E interactions in order of user, then time, then place in the file."""

    user: np.ndarray  # [E] int32, 1..U
    item: np.ndarray  # [E] int32, 1..N
    time: np.ndarray  # [E] int64 or float64
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
    source = _TextTable(folder / params.log.file, params.log, names, "params:import_log.log")
    user, item, time, click = (_read_sequences if sequences else _read_rows)(source, params)
    if not len(time):
        raise MmctrError(f"{source.path} has no interactions below its header.")
    of = params.items
    item_source = _TextTable(folder / of.file, of, of.columns, "params:import_log.items")
    table_ids, titles, tags = _read_items(item_source, params)
    users, user_place = _sorted_ids(user.dictionary, params.ids)
    ids, place = _sorted_ids(pa.concat_arrays([item.dictionary.cast(TEXT), table_ids]), params.ids)
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
    checks = [(name, *check) for name in (names.user, names.item) for check in _id_checks(table[name], params.ids)]
    checks.append((names.timestamp, ~_matches(table[names.timestamp], _TIME), "a number, as seconds since 1970 are"))
    if rating:
        checks.append((rating, ~_matches(table[rating], _FLOAT), "a number"))
    if names.label:
        known = pc.is_in(table[names.label], pa.array(["0", "1"])).to_numpy(zero_copy_only=False)
        checks.append((names.label, ~known, "0 or 1"))
    if problems := [line for name, bad, kind in checks for line in source.bad_values(name, table[name], bad, kind)]:
        raise InvalidDataError(problems, f"Correct {source.path}, or what {source.block} says about it.")
    text = table[names.timestamp]
    time = text.cast(pa.int64() if _matches(text, _INTEGER).all() else pa.float64()).to_numpy()
    if (odd := _other_unit(time)).any():
        expected = f"the unit of most others, as in {text[odd.argmin()]}"
        problems = source.bad_values(names.timestamp, text, odd, expected)
        raise InvalidDataError(problems, f"Give all times in {source.path} in one unit.")
    if names.label:
        click = pc.equal(table[names.label], "1").to_numpy(zero_copy_only=False)
    elif rating:
        click = table[rating].cast(pa.float64()).to_numpy() >= params.positive_rating
    else:
        click = np.ones(len(table[names.user]), dtype=bool)
    return table[names.user], table[names.item], time, click


def _read_sequences(source: _TextTable, params: InteractionLogParams) -> _Columns:
    """One user per row, its items in order of time: an item's time is its place in the file."""
    table = source.read({"user": ID, "items": TEXT})
    users = table["user"]
    # "3, 5, 7" and "[3, 5, 7]" are 3 5 7.
    texts = pc.replace_substring_regex(table["items"], r"^\s*\[|\]\s*$|,", " ")
    items = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(texts))
    item, row = items.flatten(), pc.list_parent_indices(items)
    kept = pc.not_equal(item, "")  # an empty row splits to one ""
    item, row = item.filter(kept).dictionary_encode(), row.filter(kept)
    repeated = pd.Series(users.indices.to_numpy()).duplicated().to_numpy()
    problems = source.bad_values("user", users, repeated, "one row per user")
    for bad, expected in _id_checks(users, params.ids):
        problems += source.bad_values("user", users, bad, expected)
    for bad, expected in _id_checks(item, params.ids):
        problems += source.bad_values("items", item, bad, expected, row.to_numpy())
    if problems:
        raise InvalidDataError(problems, f"Correct {source.path}, or what {source.block} says about it.")
    user = pa.DictionaryArray.from_arrays(users.indices.take(row), users.dictionary)
    return user, item, np.arange(len(item)), np.ones(len(item), dtype=bool)


def _read_items(source: _TextTable, params: InteractionLogParams) -> tuple[pa.Array, list[str], list[list[str]]]:
    """Source ids, titles and tags of the item table, as its rows have them."""
    names = params.items
    table = source.read({name: TEXT for name in (names.item, names.title, names.tags) if name})
    ids = table[names.item]
    checks = [(names.item, *check) for check in _id_checks(ids, params.ids)]
    if names.tags:
        texts, separator = table[names.tags], names.tag_separator
        checks.append((names.tags, _matches(texts, _OBJECT), "words or a list of words"))
        if _matches(texts, r"^[^\[].*[,;]").sum() > len(ids) / 2 and not _matches(texts, re.escape(separator)).any():
            said = "%s: most %s hold a comma or semicolon, none %r: is %s.tag_separator right?"
            logger.warning(said, source.path, names.tags, separator, source.block)
    if problems := [line for name, bad, kind in checks for line in source.bad_values(name, table[name], bad, kind)]:
        raise InvalidDataError(problems, f"Correct these rows of {source.path}, or leave them out.")
    tags = []
    for text in table[names.tags].to_pylist() if names.tags else [""] * len(ids):
        parts = text.split(names.tag_separator)
        if len(parts) == 1 and text.startswith("[") and text.endswith("]"):
            parts = ["".join(found) for found in _LISTED.findall(text[1:-1])]
        words = (word.strip() for word in parts)
        tags.append(list(dict.fromkeys(word for word in words if word and word not in names.no_tags)))
    return ids, [title.strip() for title in table[names.title].to_pylist()], tags


@dataclass(frozen=True)
class _TextTable:
    """A text file of rows: where it lies, how it is written, and the names of its columns where no header has them."""

    path: Path
    written: TextTableParams
    names: tuple[str, ...] | None
    block: str  # the settings that describe it, for errors: "params:import_log.log"

    def read(self, wanted: dict[str, pa.DataType]) -> dict[str, pa.Array]:
        """Read the ``wanted`` columns (name: type) as they are written, values unparsed."""
        self._require_columns(list(wanted))
        written, misshapen = self.written, False

        def refuse(_: arrow_csv.InvalidRow) -> str:
            nonlocal misshapen
            misshapen = True
            return "skip"

        try:
            table = arrow_csv.read_csv(
                self.path,
                arrow_csv.ReadOptions(column_names=self.names, encoding=written.encoding),
                arrow_csv.ParseOptions(
                    delimiter=written.separator,
                    quote_char=False if written.quotes is False else '"',
                    newlines_in_values=written.quotes is not False,
                    invalid_row_handler=refuse,
                ),
                arrow_csv.ConvertOptions(column_types=wanted, include_columns=list(wanted), strings_can_be_null=False),
            )
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise self._unreadable(error) from error
        if misshapen or self._spans_lines(table.num_rows):
            problems = list(self._misshapen())
            if problems or misshapen:
                raise InvalidDataError(_first(problems, len(problems)) or [f"{self.path.name}: unbalanced quotes"])
        table = table.unify_dictionaries()
        return {name: table[name].combine_chunks() for name in wanted}

    def bad_values(
        self, column: str, values: pa.Array, bad: np.ndarray, expected: str, row: np.ndarray | None = None
    ) -> list[str]:
        """One problem per value where ``bad`` ``[n]`` is True, with its line in the file; ``row``: where it stands."""
        if not bad.any():
            return []
        places = np.flatnonzero(bad)
        rows = (places if row is None else row[places])[:SHOWN] + (not self.names)
        lines = {number: line for number, (line, _) in enumerate(self._rows()) if number in rows}
        problems = [
            f"{self.path.name}:{lines.get(number, '?')}: {column} {str(values[place])!r}, expected {expected}"
            for number, place in zip(rows.tolist(), places.tolist(), strict=False)
        ]
        return _first(problems, len(places))

    def _spans_lines(self, rows: int) -> bool:
        """Whether some of the rows may be several lines long, and nobody has said that this is meant."""
        if self.written.quotes is not None:
            return False
        with pa.input_stream(self.path) as file:
            marks = lines = 0
            while piece := file.read(1 << 20):
                marks, lines = marks + piece.count(b'"'), lines + piece.count(b"\n")
        return marks > 0 and lines > rows + (not self.names)

    def _misshapen(self) -> Iterator[str]:
        """Rows of too few or too many values, and those that are lines of which each has the values of a row."""
        width, separator = len(self.names or ()), self.written.separator
        for line, row in self._rows():
            width, text = width or len(row), separator.join(row).strip("\r\n")
            lines = text.split("\n")
            swallowed = len(lines) > 1 and {part.count(separator) for part in lines} == {width - 1}
            if len(row) != width or swallowed:
                found = f"{len(row)} values, expected {width}"
                if len(lines) > 1:
                    found = (
                        f"a quotation mark makes one row of {len(lines)} lines. Is it never closed? Set {self.block}."
                        "quotes=false where marks are letters like others, true where this is meant"
                    )
                yield f"{self.path.name}:{line}: {found}: {text[:80]!r}"

    def _unreadable(self, error: Exception) -> MmctrError:
        """What to say where ``error`` came up: the first line that is no text, or the error."""
        with pa.input_stream(self.path) as file:
            for number, line in enumerate(io.BufferedReader(file), 1):
                try:
                    line.decode(self.written.encoding)
                except UnicodeDecodeError:
                    guess = "utf-16" if line[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
                    text = line.decode(guess, errors="ignore").strip()[:80]
                    hint = "Is it packed (.gz, .bz2 and .zst are read by that ending) or no text at all?"
                    if text.replace(self.written.separator, "").isprintable():
                        hint = f"Set {self.block}.encoding; by {guess} it reads {text!r}"
                    return MmctrError(f"{self.path}:{number}: {line[:40]!r} is no {self.written.encoding} text. {hint}")
        return MmctrError(f"{self.path} is no table separated by {self.written.separator!r}: {error}")

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
        """Rows with the number of the line they begin in, empty lines left out, as pyarrow leaves them out."""
        encoding = {"utf-8": "utf-8-sig"}.get(self.written.encoding, self.written.encoding)
        with pa.input_stream(self.path) as stream, io.TextIOWrapper(stream, encoding, newline="") as file:
            pieces = iter(lambda: file.readline(1 << 20), "")  # pyarrow takes no row that is longer
            quoting: Literal[0, 3] = csv.QUOTE_NONE if self.written.quotes is False else csv.QUOTE_MINIMAL
            reader, line = csv.reader(pieces, delimiter=self.written.separator, quoting=quoting), 1
            try:
                for row in reader:
                    if row:
                        yield line, row
                    line = reader.line_num + 1
            except csv.Error as error:  # a value without end
                raise MmctrError(
                    f"{self.path}:{line}: {error}. Is a quotation mark never closed? If such marks are letters like "
                    f"others, set {self.block}.quotes=false"
                ) from error
            except UnicodeError as error:
                raise self._unreadable(error) from error


def _first(problems: list[str], count: int) -> list[str]:
    more = [f"... and {count - SHOWN:,} more rows of this kind"] if count > SHOWN else []
    return [*problems[:SHOWN], *more]


def _matches(values: pa.Array, pattern: str) -> np.ndarray:
    """Which strings are of this form: ``[n]`` bool."""
    return pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)


def _other_unit(time: np.ndarray) -> np.ndarray:
    """Which times are in another unit than most: ``[n]`` bool.

    Dates from 1973 on, as seconds, milli-, micro- or nanoseconds, lie decades apart and leave one empty in between.
    """
    decade = np.log10(np.maximum(time, 1)).astype(np.int8)
    present = np.flatnonzero(np.bincount(decade[decade >= 8], minlength=1))
    if np.diff(present).max(initial=0) <= 1:
        return np.zeros(len(time), dtype=bool)
    unit = np.where(decade >= 8, (decade + 1) // 3, 0)
    return (unit > 0) & (unit != np.bincount(unit[unit > 0]).argmax())


def _id_checks(values: pa.Array, ids: str) -> list[tuple[np.ndarray, str]]:
    """What may be wrong with ids, in a dictionary or not: which are, ``[n]`` bool, and what was expected."""
    if pa.types.is_dictionary(values.type):
        return [(bad[values.indices.to_numpy()], expected) for bad, expected in _id_checks(values.dictionary, ids)]
    plain = _plain(values, ids)
    nothing = _matches(plain, r"^$|\x00")  # numpy would cut off NUL
    if ids == "words":
        return [(nothing, "an id")]
    missing = pc.is_in(pc.utf8_lower(plain), _MISSING).to_numpy(zero_copy_only=False)
    rounded, number = _matches(plain, _ROUNDED), _matches(plain, _INTEGER)
    stray = ~(number | nothing | missing | rounded) & (number.sum() > len(number) / 2)
    checks = [(missing, "an id"), (rounded, "all its digits"), (stray, "a whole number below 2^63, as most are")]
    return [(nothing, "an id"), *((bad, f"{kind}, or import_log.ids=words") for bad, kind in checks)]


def _plain(values: pa.Array, ids: str) -> pa.Array:
    """Ids without what is only their writing: blanks around; if not ``words``, quotation marks, BOM and ".0" too."""
    values = pc.utf8_trim_whitespace(values)
    if ids == "words":
        return values
    values = pc.utf8_trim_whitespace(pc.utf8_trim(values, "\ufeff'\""))
    return pc.replace_substring_regex(values, r"^(-?\d{1,15})\.0*$", r"\1")


def _sorted_ids(values: pa.Array, ids: str) -> tuple[np.ndarray, np.ndarray]:
    """Distinct ids in order, and the place of each of ``values`` among them.

    Ids that are all whole numbers are compared, ordered and kept as int64 ("007" is 7), others as strings.
    """
    plain = _plain(values, ids)
    if ids == "auto" and len(values) and _matches(plain, _INTEGER).all():
        sortable = plain.cast(pa.int64()).to_numpy()
    else:
        sortable = plain.to_numpy(zero_copy_only=False).astype(str)
    distinct, place = np.unique(sortable, return_inverse=True)
    return distinct, place.astype(np.int32)
