"""From the files of a log folder to sorted tables in our own ids; a mistake is named with file, line and expectation.

An interaction is one row of the log; a click is an interaction that counts as positive. Arrow reads the files a piece
at a time; DuckDB checks, numbers, joins and sorts, on disk where memory is too little.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from mmctr_kedro.common.errors import InvalidDataError, MmctrError
from mmctr_kedro.common.words import did_you_mean
from mmctr_kedro.data.settings import InteractionLogParams, TextTableParams

logger = logging.getLogger(__name__)

SHOWN = 5  # problems of one kind that an error lists
PART = 500_000  # interactions

# As DuckDB's RE2 reads them.
_INTEGER = r"^-?0*([0-8]?\d{1,18}|9[01]\d{17})$"  # fits int64
_FLOAT = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_TIME = rf"{_INTEGER}|^-?\d{{1,15}}\.\d*$"
_ROUNDED = r"^-?(\d(\.\d+)?[eE]\+\d+|\d{16,}\.0*)$"  # what a float makes of a long id
_BLANK = r"\x09-\x0d\x1c-\x1f\x{85}\pZ"  # every one of Unicode
_LISTED = re.compile(r"""'([^']*)'|"([^"]*)"|([^\s,'"][^,]*)""")  # the words of a list that Python or JSON wrote


@dataclass(frozen=True)
class Interactions:
    """E interactions in order of user, then time, then place in the file: all of the users ``first`` to ``end`` - 1."""

    first: int
    end: int
    user: np.ndarray  # [E] int32
    item: np.ndarray  # [E] int32, 1..N
    time: np.ndarray  # [E] int64 or float64
    click: np.ndarray  # [E] bool


@dataclass(frozen=True)
class Log:
    """Tables of a database: ``log`` (user, item, time, click), sorted, and ``users`` (id 1..U, key: the source id)."""

    database: duckdb.DuckDBPyConnection
    users: int

    def parts(self) -> Iterator[Interactions]:
        """All interactions, about ``PART`` at a time; no user's are parted."""
        starts = f"select distinct user from log where rowid % {PART} = 0 order by user offset 1"
        users = [1, *(user for (user,) in self.database.execute(starts).fetchall()), self.users + 1]
        for first, end in pairwise(users):
            rows = f"select user, item, time, click from log where user >= {first} and user < {end}"
            yield Interactions(first, end, **arrays(self.database, rows))


@dataclass(frozen=True)
class ItemTable:
    """N items of item table and log together, ascending in source id; our id is the place + 1."""

    ids: np.ndarray  # [N] source ids, int64 or str
    titles: list[str]  # "" where the item table has no row
    tags: list[list[str]]
    in_table: np.ndarray  # [N] bool
    in_log: np.ndarray  # [N] bool


def read_log(folder: Path, params: InteractionLogParams, database: duckdb.DuckDBPyConnection) -> tuple[Log, ItemTable]:
    """Read both tables into an empty database; number users and items from 1, in the order of their source ids."""
    time, click = (_load_sequences if params.log.format == "sequences" else _load_rows)(folder, params, database)
    if not count_rows(database, "interactions"):
        raise MmctrError(f"{folder / params.log.file} has no interactions below its header.")
    source = _load_items(folder, params, database)
    _number(database, "users", ["log_users"], params.ids)
    _number(database, "items", ["log_items", "table_items"], params.ids)
    again = (  # "7" and "007" are one
        "place in (select place from item_rows join items_texts on text = item "
        "qualify row_number() over (partition by id order by place) > 1)"
    )
    if problems := source.bad_values("item", again, "one row per item"):
        raise InvalidDataError(problems, f"Leave one row per item in {source.path}.")
    database.execute(
        f"create table log as select u.id::integer as user, i.id::integer as item, {time} as time, {click} as click "
        "from interactions join users_texts u on u.text = interactions.user join items_texts i on i.text = item "
        "order by 1, 3, place"
    )
    database.execute("drop table interactions")
    ids = arrays(database, "select key from items order by id")["key"]
    ids = ids if ids.dtype.kind == "i" else ids.astype(str)
    titles, tags, in_table, in_log = [""] * len(ids), [list[str]() for _ in ids], *np.zeros((2, len(ids)), dtype=bool)
    in_log[arrays(database, "select distinct item - 1 as place from log")["place"]] = True
    rows = "select id - 1, title, tags from item_rows join items_texts on text = item"
    for place, title, text in database.execute(rows).fetchall():
        titles[place], tags[place], in_table[place] = title.strip(), _tags(text, params), True
    return Log(database, count_rows(database, "users")), ItemTable(ids, titles, tags, in_table, in_log)


def arrays(database: duckdb.DuckDBPyConnection, query: str) -> dict[str, np.ndarray]:
    """The columns that a query gives; texts as objects."""
    return {name: np.asarray(values) for name, values in database.execute(query).fetchnumpy().items()}


def count_rows(database: duckdb.DuckDBPyConnection, table: str) -> int:
    """How many rows a table has, or what stands after FROM."""
    [(count,)] = database.execute(f"select count(*) from {table}").fetchall()
    return int(count)


def _load_rows(folder: Path, params: InteractionLogParams, database: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """One interaction per row, to table ``interactions``; returns its time, and whether it is a click, in SQL."""
    of = params.log
    rating = of.rating if params.positive_rating is not None else None
    columns = {"user": of.user, "item": of.item, "time": of.timestamp, "rating": rating, "label": of.label}
    wanted = {ours: name for ours, name in columns.items() if name}
    source = _TextTable(database, "interactions", folder / of.file, of, of.columns, "params:import_log.log", wanted)
    source.load()
    problems = source.bad_ids("user", "log_users", params.ids) + source.bad_ids("item", "log_items", params.ids)
    checks = [("time", _is("time", _TIME), "a number, as seconds since 1970 are")]
    checks += [("rating", _is("rating", _FLOAT), "a number")] if rating else []
    checks += [("label", "label in ('0', '1')", "0 or 1")] if of.label else []
    problems += [line for name, good, kind in checks for line in source.bad_values(name, f"not ({good})", kind)]
    if problems:
        raise InvalidDataError(problems, f"Correct {source.path}, or what {source.block} says about it.")
    [(whole,)] = database.execute(f"select bool_and({_is('time', _INTEGER)}) from interactions").fetchall()
    time = "time::bigint" if whole else "time::double"
    # Dates from 1973 on, as seconds, milli-, micro- or nanoseconds, lie decades apart and leave one empty in between.
    decade = f"floor(log10(greatest({time}, 1)))::integer"
    counts = f"select {decade} as decade, count(*) from interactions where decade >= 8 group by decade order by decade"
    present = database.execute(counts).fetchall()
    if any(after - before > 1 for (before, _), (after, _) in pairwise(present)):
        units = Counter[int]()
        for found, count in present:
            units[(found + 1) // 3] += count
        odd = f"{decade} >= 8 and ({decade} + 1) // 3 != {units.most_common(1)[0][0]}"
        [(usual,)] = database.execute(
            f"select time from interactions where not ({odd}) order by place limit 1"
        ).fetchall()
        problems = source.bad_values("time", odd, f"the unit of most others, as in {usual}")
        raise InvalidDataError(problems, f"Give all times in {source.path} in one unit.")
    return time, f"rating::double >= {params.positive_rating}" if rating else "label = '1'" if of.label else "true"


def _load_sequences(folder: Path, params: InteractionLogParams, database: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """One user per row, its items in order of time: the same, an item's time being its place in the row."""
    of, names = params.log, {"user": "user", "item": "items"}
    source = _TextTable(database, "lines", folder / of.file, of, tuple(names.values()), "params:import_log.log", names)
    source.load()
    # "3, 5, 7" and "[3, 5, 7]" are 3 5 7.
    words = rf"regexp_extract_all(regexp_replace(item, '^\s*\[|\]\s*$', '', 'g'), '[^,{_BLANK}]+')"
    database.execute(
        "create table interactions as select place, user, unnest(words) as item, generate_subscripts(words, 1) as time "
        f"from (select place, user, {words} as words from lines)"
    )
    again = "place in (select place from lines qualify row_number() over (partition by user order by place) > 1)"
    problems = source.bad_values("user", again, "one row per user") + source.bad_ids("user", "log_users", params.ids)
    if problems := problems + source.bad_ids("item", "log_items", params.ids, "interactions"):
        raise InvalidDataError(problems, f"Correct {source.path}, or what {source.block} says about it.")
    return "time", "true"


def _load_items(folder: Path, params: InteractionLogParams, database: duckdb.DuckDBPyConnection) -> _TextTable:
    """The item table's rows, to table ``item_rows``."""
    of = params.items
    wanted = {"item": of.item, "title": of.title, **({"tags": of.tags} if of.tags else {})}
    source = _TextTable(database, "item_rows", folder / of.file, of, of.columns, "params:import_log.items", wanted)
    source.load()
    problems = source.bad_ids("item", "table_items", params.ids)
    if of.tags:
        problems += source.bad_values("tags", _is("tags", r"^\s*\[?\s*\{"), "words or a list of words")
        comma = _is("tags", r"^[^\[].*[,;]")
        most = f"2 * count(*) filter ({comma}) > count(*) and not bool_or(contains(tags, ?))"
        if database.execute(f"select 1 from item_rows having {most}", [of.tag_separator]).fetchall():
            said = "%s: most %s hold a comma or semicolon, none %r: is %s.tag_separator right?"
            logger.warning(said, source.path, of.tags, of.tag_separator, source.block)
    else:
        database.execute("alter table item_rows add column tags varchar default ''")
    if problems:
        raise InvalidDataError(problems, f"Correct these rows of {source.path}, or leave them out.")
    return source


def _tags(text: str, params: InteractionLogParams) -> list[str]:
    parts = text.split(params.items.tag_separator)
    if len(parts) == 1 and text.startswith("[") and text.endswith("]"):
        parts = ["".join(found) for found in _LISTED.findall(text[1:-1])]
    words = (word.strip() for word in parts)
    return list(dict.fromkeys(word for word in words if word and word not in params.items.no_tags))


@dataclass(frozen=True)
class _TextTable:
    """A text file of rows: where it lies, how it is written, and the names of its columns where no header has them."""

    database: duckdb.DuckDBPyConnection
    table: str  # which of its tables the file becomes
    path: Path
    written: TextTableParams
    names: tuple[str, ...] | None
    block: str  # the settings that describe it, for errors: "params:import_log.log"
    columns: dict[str, str]  # those wanted: our names, and the file's

    def load(self) -> None:
        """Fill the table: ``place``, which counts rows from 0, and the columns as they are written, values unparsed."""
        wanted = list(self.columns.values())
        self._require_columns(wanted)
        written, misshapen, rows = self.written, False, 0

        def refuse(_: arrow_csv.InvalidRow) -> str:
            nonlocal misshapen
            misshapen = True
            return "skip"

        columns = ", ".join(f"{name} varchar" for name in self.columns)
        self.database.execute(f"create table {self.table} (place bigint, {columns})")
        self.database.begin()
        try:
            for batch in arrow_csv.open_csv(
                self.path,
                arrow_csv.ReadOptions(column_names=self.names, encoding=written.encoding),
                arrow_csv.ParseOptions(
                    delimiter=written.separator,
                    quote_char=False if written.quotes is False else '"',
                    newlines_in_values=written.quotes is not False,
                    invalid_row_handler=refuse,
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted, strings_can_be_null=False
                ),
            ):
                places = pa.array(np.arange(rows, rows := rows + len(batch)))
                piece = pa.Table.from_arrays([places, *batch.columns], ["place", *self.columns])
                self.database.register("piece", piece)
                self.database.execute(f"insert into {self.table} from piece")
        except (pa.ArrowInvalid, UnicodeError) as error:
            raise self._unreadable(error) from error
        self.database.commit()
        if misshapen or self._spans_lines(rows):
            problems = list(self._misshapen())
            if problems or misshapen:
                raise InvalidDataError(_first(problems, len(problems)) or [f"{self.path.name}: unbalanced quotes"])

    def bad_values(self, column: str, bad: str, expected: str, table: str = "") -> list[str]:
        """One problem per value where ``bad``, a condition in SQL, holds, with its line in the file."""
        rows = f"from {table or self.table} where {bad} order by place limit {SHOWN}"
        found = self.database.execute(f"select place, {column}, count(*) over () {rows}").fetchall()
        if not found:
            return []
        numbers = {place + (not self.names) for place, *_ in found}
        lines = {number: line for number, (line, _) in enumerate(self._rows()) if number in numbers}
        problems = [
            f"{self.path.name}:{lines.get(place + (not self.names), '?')}: {self.columns[column]} {value!r}, "
            f"expected {expected}"
            for place, value, _ in found
        ]
        return _first(problems, found[0][2])

    def bad_ids(self, column: str, distinct: str, ids: str, table: str = "") -> list[str]:
        """What is wrong with a column's ids; they go to table ``distinct``: ``text``, as written, and ``plain``."""
        self.database.execute(
            f"create table {distinct} as select text, {_plain('text', ids)} as plain "
            f"from (select distinct {column} as text from {table or self.table})"
        )
        nothing = _is("plain", r"^$|\x00")  # numpy would cut off NUL
        checks = [(nothing, "an id")]
        if ids == "auto":
            missing = "lower(plain) in ('nan', 'none', 'null', '<na>')"
            number, rounded = _is("plain", _INTEGER), _is("plain", _ROUNDED)
            most = f"(select 2 * count(*) filter ({number}) > count(*) from {distinct})"
            stray = f"not ({number} or {nothing} or {missing} or {rounded}) and {most}"
            kinds = ("an id", "all its digits", "a whole number below 2^63, as most are")
            alternatives = [f"{kind}, or import_log.ids=words" for kind in kinds]
            checks += zip([missing, rounded, stray], alternatives, strict=True)
        return [
            line
            for bad, expected in checks
            for line in self.bad_values(
                column, f"{column} in (select text from {distinct} where {bad})", expected, table
            )
        ]

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
                f"Set log_folder in globals.yml (or --params log_folder=...) and {block}.file; docs/log.md shows "
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


def _is(column: str, pattern: str) -> str:
    """In SQL: whether a column's text is of this form."""
    return f"regexp_matches({column}, '{pattern}')"


def _plain(text: str, ids: str) -> str:
    """In SQL: an id without what is only its writing: blanks around; if not ``words``, quotes, BOM and ".0" too."""
    edge = _BLANK if ids == "words" else rf"{_BLANK}\x{{feff}}''\""
    trimmed = f"regexp_replace({text}, '^[{edge}]+|[{edge}]+$', '', 'g')"
    return trimmed if ids == "words" else rf"regexp_replace({trimmed}, '^(-?\d{{1,15}})\.0*$', '\1')"


def _number(database: duckdb.DuckDBPyConnection, name: str, texts: list[str], ids: str) -> None:
    """Number the distinct ids of tables that ``bad_ids`` made, from 1 in their order.

    They become table ``name`` (id, key) and ``name``_texts (text, id). Ids that are all whole numbers are compared,
    ordered and kept as such ("007" is 7), others as strings.
    """
    every = " union ".join(f"select text, plain from {table}" for table in texts)
    [(whole,)] = database.execute(f"select bool_and({_is('plain', _INTEGER)}) from ({every})").fetchall()
    key = "plain::bigint" if whole and ids == "auto" else "plain"
    database.execute(
        f"create table {name}_texts as select text, {key} as key, dense_rank() over (order by key) as id from ({every})"
    )
    database.execute(f"create table {name} as select distinct id, key from {name}_texts order by id")
