"""Reading the tables of an interaction log: every mistake named with file, line, value and expectation."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from mmctr_kedro.common.errors import InvalidDataError, MmctrError

SHOWN = 5  # problems of one kind that an error lists
MOST_LINE = 1 << 20  # characters; pyarrow reads blocks of a MiB and takes no row that is longer
MOST_COLUMNS = 10_000
TEXT = pa.string()
ID = pa.dictionary(pa.int32(), pa.string())  # ids are few against the rows they stand in


def read_table(
    path: Path, separator: str, names: Sequence[str] | None, wanted: dict[str, pa.DataType], block: str
) -> pa.Table:
    """Read the ``wanted`` columns (name: type) of a text table as they are written, values unparsed.

    Args:
        names: The names of all columns where the file has no header; None where its first line is one.
        block: The settings that describe this file, for errors (``params:import_log.log``).
    """
    _require_file(path, wanted, block)
    _require_columns(path, separator, names, wanted, block)
    bad_rows: set[int] = set()  # the numbers of their values

    def refuse(row: arrow_csv.InvalidRow) -> str:
        bad_rows.add(row.actual_columns)
        return "skip"

    try:
        table = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(column_names=list(names) if names else None),
            arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=refuse),
            arrow_csv.ConvertOptions(column_types=wanted, include_columns=list(wanted), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise MmctrError(f"{path} is no UTF-8 table separated by {separator!r}: {error}") from error
    if bad_rows:
        raise InvalidDataError(_misshapen(path, separator, names))
    table = table.unify_dictionaries().combine_chunks()
    for name in wanted:
        values = table[name].combine_chunks()
        texts = values.dictionary if pa.types.is_dictionary(values.type) else values
        # A text that ends in NUL would lose it, and be another's id.
        if (holes := pc.match_substring(texts, "\0").to_numpy(zero_copy_only=False)).any():
            bad = holes[values.indices.to_numpy()] if texts is not values else holes
            problems = bad_values(path, separator, not names, name, values, bad, "text without NUL characters")
            raise InvalidDataError(problems, f"{path} is damaged, or no text: fetch it again.")
    return table


def _require_file(path: Path, wanted: Iterable[str], block: str) -> None:
    if path.is_file():
        return
    found = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    holds = f"It holds: {', '.join(found[:12])}." if found else "The folder is empty or not there."
    raise MmctrError(
        f"{path} is missing: expected a table with the columns {', '.join(wanted)}. {holds} "
        f"Set log_folder in globals.yml (or --params log_folder=...) and {block}.file; docs/data.md shows "
        "how, and --env movielens and --env microlens_log are examples."
    )


def _require_columns(
    path: Path, separator: str, names: Sequence[str] | None, wanted: Iterable[str], block: str
) -> None:
    first = next(_lines(path, separator), (0, []))[1]
    if names and len(first) != len(names):
        raise MmctrError(
            f"{path} has {len(first)} columns in line 1, {block}.columns names {len(names)}: {', '.join(names)}."
        )
    if len(first) > MOST_COLUMNS:
        raise MmctrError(f"{path} has {len(first):,} columns in line 1, expected at most {MOST_COLUMNS:,}: {block}.")
    known = list(names or first)
    problems = []
    for name in wanted:
        if (times := known.count(name)) > 1:
            problems.append(f"{path.name}: {times} columns are named '{name}', expected one.")
        elif not times:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            problems.append(f"{path.name}: no column '{name}'.{hint} It has: {', '.join(known)[:500]}.")
    if problems:
        raise InvalidDataError(problems, f"Set the names, separator and columns of {path} in {block}.")


def _lines(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of the line they end in, empty lines left out, as pyarrow leaves them out."""

    def bounded() -> Iterator[str]:
        for line in iter(lambda: file.readline(MOST_LINE + 1), ""):
            if len(line) > MOST_LINE:
                raise MmctrError(f"{path}:{reader.line_num + 1}: a line of more than {MOST_LINE:,} characters")
            yield line

    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(bounded(), delimiter=separator)
        try:
            yield from ((reader.line_num, row) for row in reader if row)
        except csv.Error as error:  # a value without end: quotes that are never closed
            raise MmctrError(f"{path}:{reader.line_num}: {error}; are quotes unbalanced above?") from error


def _misshapen(path: Path, separator: str, names: Sequence[str] | None) -> list[str]:
    """The rows whose number of values is wrong."""
    problems: list[str] = []
    width, count = len(names) if names else 0, 0
    for line, row in _lines(path, separator):
        width = width or len(row)
        if len(row) != width:
            count += 1
            if count <= SHOWN:
                text = separator.join(row)[:80]
                problems.append(f"{path.name}:{line}: {len(row)} values, expected {width}: {text!r}")
    return [*problems, *_and_more(count)] or [f"{path.name}: unbalanced quotes"]


def _and_more(count: int) -> list[str]:
    return [f"... and {count - SHOWN:,} more rows of this kind"] if count > SHOWN else []


def bad_values(
    path: Path,
    separator: str,
    has_header: bool,
    column: str,
    values: pa.Array,
    bad: np.ndarray,
    expected: str,
) -> list[str]:
    """One problem per row where ``bad`` ``[rows]`` is True, with its line in the file."""
    rows = np.flatnonzero(bad)
    if not len(rows):
        return []
    wanted = dict.fromkeys((rows[:SHOWN] + has_header).tolist())
    lines = {row: line for row, (line, _) in enumerate(_lines(path, separator)) if row in wanted}
    problems = [
        f"{path.name}:{lines.get(row + has_header, '?')}: {column} {str(values[row])!r}, expected {expected}"
        for row in rows[:SHOWN].tolist()
    ]
    return [*problems, *_and_more(len(rows))]


def not_a_number(values: pa.Array, kind: pa.DataType) -> np.ndarray:
    """Which strings do not hold a number of type ``kind``: ``[rows]`` bool."""
    pattern = r"^-?\d{1,18}$" if pa.types.is_integer(kind) else r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
    return ~pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)


def is_empty(values: pa.Array) -> np.ndarray:
    """Which strings hold nothing but white space: ``[n]`` bool."""
    return pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0).to_numpy(zero_copy_only=False)


def sorted_ids(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Distinct ids in order, and the place of each of ``values`` among them.

    Ids that are all whole numbers are compared, ordered and kept as int64 ("007" is 7), others as strings.
    """
    trimmed = pc.utf8_trim_whitespace(values)
    if not len(values) or not_a_number(trimmed, pa.int64()).any():
        plain = trimmed.to_numpy(zero_copy_only=False).astype(str)
    else:
        plain = trimmed.cast(pa.int64()).to_numpy()
    ids, place = np.unique(plain, return_inverse=True)
    return ids, place.astype(np.int32)
