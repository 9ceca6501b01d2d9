"""Opening a parquet file of the challenge and checking its columns, whichever writer made it.

The same column may come as fixed-size list, large list or list, in 32 or 64 bits: all are accepted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import PATHS, SCHEMAS, RawFolder
from mmctr_kedro.data.parquet import open_parquet
from mmctr_kedro.data.processing.jagged import offsets_of
from mmctr_kedro.data.processing.problems import Problems
from mmctr_kedro.data.processing.schemas import validate

MOST_TEXT = 1 << 16  # bytes of one text; the challenge's longest title has some hundred
MOST_TEXTS = 2 << 30  # bytes of a column of texts


@dataclass(frozen=True)
class Table:
    """An open parquet file: its name in ``challenge.PATHS``, its path for messages, its usable columns."""

    name: str
    file: str
    parquet: pq.ParquetFile
    columns: list[str]
    problems: Problems

    def __len__(self) -> int:
        return self.parquet.metadata.num_rows

    def __contains__(self, column: str) -> bool:
        return column in self.columns

    def scalars(self) -> pd.DataFrame:
        """Every column that holds no lists, validated; an integer column with nulls is float64 with NaN."""
        names = [name for name in self.columns if not is_list(self.parquet.schema_arrow.field(name).type)]
        table = self._written_out(self.parquet.read(columns=names))
        frame = table.to_pandas(ignore_metadata=True, split_blocks=True)  # a stored index is no row number
        validate(self.name, frame, self.file, self.problems)
        return frame

    def _written_out(self, table: pa.Table) -> pa.Table:
        """Texts as such instead of by reference, once it is known how much that is."""
        for place, field in enumerate(table.schema):
            if pa.types.is_dictionary(field.type):
                sizes = [_text_sizes(chunk) for chunk in table[place].chunks]
                longest, total = max((longest for longest, _ in sizes), default=0), sum(total for _, total in sizes)
                if longest > MOST_TEXT or total > MOST_TEXTS:
                    raise MmctrError(
                        f"{self.file}: column '{field.name}': expected texts of at most {MOST_TEXT:,} bytes and "
                        f"{MOST_TEXTS:,} together, found one of {longest:,} and {total:,} together"
                    )
                table = table.set_column(place, field.name, table[place].cast(field.type.value_type))
        return table

    def lists(self, column: str, batch_rows: int) -> Iterator[Lists]:
        """A list column in batches, in row order. Null lists and null values are reported and left out."""
        start = 0
        for batch in self.parquet.iter_batches(batch_size=batch_rows, columns=[column]):
            yield self._lists(batch.column(0), column, start)
            start += batch.num_rows
        if start != len(self):
            raise MmctrError(f"{self.file}: column '{column}': expected {len(self):,} rows, found {start:,}")

    def _lists(self, array: pa.Array, column: str, start: int) -> Lists:
        if array.null_count:
            rows = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
            self.problems.add_rows(self.file, column, "a list", rows + start)
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy()
        values = array.flatten()
        offsets = offsets_of(lengths)
        if values.null_count:
            null = values.is_null().to_numpy(zero_copy_only=False)
            rows = np.unique(np.searchsorted(offsets, np.flatnonzero(null), side="right") - 1)
            self.problems.add_rows(self.file, column, "no null in a list", rows + start)
            values = pc.fill_null(values, 0)
        return Lists(start, offsets, values.to_numpy(zero_copy_only=False))


@dataclass(frozen=True)
class Lists:
    """Lists of consecutive rows: list i, of row ``start + i``, is ``values[offsets[i]:offsets[i + 1]]``."""

    start: int
    offsets: np.ndarray
    values: np.ndarray

    def rows_of(self, positions: np.ndarray) -> np.ndarray:
        """Row numbers in the file of positions in ``values``."""
        return self.start + np.searchsorted(self.offsets, positions, side="right") - 1


def open_table(folder: RawFolder, name: str, problems: Problems) -> Table:
    """Open a challenge file and check which of the published columns are there and of the right kind.

    A file that is no parquet, or an absurd one, raises here, one with broken pages later: use it within
    ``problems.reading``.
    """
    parquet = open_parquet(folder.file(name), [field.name for field in SCHEMAS[name] if pa.types.is_string(field.type)])
    columns = _usable_columns(name, parquet.schema_arrow, problems)
    if parquet.metadata.num_rows == 0 and name != "tag_words":  # data without tags has no words for them
        problems.add(PATHS[name], "has no rows; expected at least one")
    return Table(name, PATHS[name], parquet, columns, problems)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column holds lists, in any of Arrow's forms."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _usable_columns(name: str, found: pa.Schema, problems: Problems) -> list[str]:
    usable = []
    for field in SCHEMAS[name]:
        if (times := found.names.count(field.name)) > 1:
            problems.add(PATHS[name], f"column '{field.name}': expected once, found {times} times")
        elif not times:
            spare = [other for other in found.names if other not in SCHEMAS[name].names]
            problems.add(PATHS[name], _missing(field.name, spare))
        elif _kind(found.field(field.name).type) != (expected := _kind(field.type)):
            seen = found.field(field.name).type
            problems.add(PATHS[name], f"column '{field.name}': expected {expected}, found {seen}")
        else:
            usable.append(field.name)
    return usable


def _missing(column: str, spare: list[str]) -> str:
    near = difflib.get_close_matches(column, spare, n=1, cutoff=0.5)
    hint = f" Is it '{near[0]}'? Rename that column." if near else ""
    return f"column '{column}' is missing.{hint} Columns that are not expected: {', '.join(spare) or 'none'}"


def _text_sizes(texts: pa.DictionaryArray) -> tuple[int, int]:
    """Bytes of the longest of some texts, and of all of them."""
    lengths = pc.binary_length(texts.dictionary.cast(pa.large_binary()))
    return pc.max(lengths).as_py() or 0, pc.sum(pc.take(lengths, texts.indices)).as_py() or 0


def _kind(kind: pa.DataType) -> str:
    """What a column's values are, whatever their width: types of one kind are taken for each other."""
    if is_list(kind):
        return f"lists of {_kind(kind.value_type)}"
    if pa.types.is_integer(kind):
        return "integers"
    if pa.types.is_floating(kind):
        return "floats"
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(text) or pa.types.is_large_string(text) or pa.types.is_string_view(text):
        return "text"
    return str(kind)
