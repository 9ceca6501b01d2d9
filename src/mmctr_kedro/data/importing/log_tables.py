"""Reading the tables of an interaction log: every mistake named with file, line, value and expectation."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from mmctr_kedro.common.errors import InvalidDataError, MmctrError
from mmctr_kedro.common.words import did_you_mean
from mmctr_kedro.data.settings import ItemTableParams, LogTableParams

SHOWN = 5  # problems of one kind that an error lists
TEXT = pa.string()
ID = pa.dictionary(pa.int32(), pa.string())  # ids are few against the rows they stand in


@dataclass(frozen=True)
class TextTable:
    """A text file of rows: where it lies, its separator, and the names of its columns where no header has them."""

    path: Path
    separator: str
    names: tuple[str, ...] | None
    block: str  # the settings that describe it, for errors: "params:import_log.log"

    @classmethod
    def of(cls, folder: Path, params: LogTableParams | ItemTableParams, block: str) -> TextTable:
        """The file in ``folder`` that ``params`` describe; sequences have a user and items."""
        names = ("user", "items") if getattr(params, "format", None) == "sequences" else params.columns
        return cls(folder / params.file, params.separator, names, block)

    def read(self, wanted: dict[str, pa.DataType]) -> pa.Table:
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
        return table.unify_dictionaries().combine_chunks()

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


def not_a_number(values: pa.Array, kind: pa.DataType) -> np.ndarray:
    """Which strings do not hold a number of type ``kind``: ``[rows]`` bool."""
    pattern = r"^-?\d{1,18}$" if pa.types.is_integer(kind) else r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
    return ~pc.match_substring_regex(values, pattern).to_numpy(zero_copy_only=False)


def is_no_id(values: pa.Array) -> np.ndarray:
    """Which strings, in a dictionary or not, are blank or hold NUL, which numpy would cut off: ``[n]`` bool."""
    if pa.types.is_dictionary(values.type):
        return is_no_id(values.dictionary)[values.indices.to_numpy()]
    blank = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0)
    return pc.or_(blank, pc.match_substring(values, "\0")).to_numpy(zero_copy_only=False)


def is_repeated(codes: np.ndarray) -> np.ndarray:
    """Which codes stand further ahead already: ``[n]`` bool."""
    repeated = np.ones(len(codes), dtype=bool)
    repeated[np.unique(codes, return_index=True)[1]] = False
    return repeated


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
