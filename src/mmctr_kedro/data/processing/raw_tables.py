"""The challenge's parquet files, opened, and their columns read and checked, whichever writer made them.

The same column may come as fixed-size list, large list or list, in 32 or 64 bits: all are accepted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmctr_kedro.common.errors import CONTROLS, MmctrError
from mmctr_kedro.common.words import did_you_mean
from mmctr_kedro.data.challenge import PATHS, SCHEMAS, RawFolder
from mmctr_kedro.data.jagged import late_zeros, offsets_of, strip_padding
from mmctr_kedro.data.parquet import open_parquet
from mmctr_kedro.data.processing.problems import EXAMPLES, Problems

INT32_MAX, INT64_MAX = 2**31 - 1, 2**63 - 1
# By column, or by file and column where a file has its own. A row's level may be 0 (an item without one).
LIMITS: dict[str, tuple[int, int]] = {
    "user_id": (1, INT32_MAX),
    "item_id": (1, INT32_MAX),
    "item_info.item_id": (0, INT32_MAX),
    "tag_id": (1, INT32_MAX),
    "likes_level": (0, 10),
    "views_level": (0, 10),
    "item_feature.likes_level": (1, 10),
    "item_feature.views_level": (1, 10),
    "label": (0, 1),
    "ID": (0, INT64_MAX),
}
UNIQUE = ("item_info.item_id", "item_feature.item_id", "item_emb.item_id", "tag_words.tag_id")
DISPENSABLE = ("txt_emb_BERT", "img_emb_CLIPRN50")  # read by encoder item_feature alone, which says if they are missing


class Lists(NamedTuple):
    """Lists of consecutive rows: list i, of row ``start + i``, is ``values[offsets[i]:offsets[i + 1]]``."""

    start: int
    offsets: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Table:
    """An open parquet file: its name in ``challenge.PATHS``, its path for messages, its usable columns."""

    name: str
    file: str
    parquet: pq.ParquetFile
    rows: int
    columns: list[str]
    problems: Problems

    def scalars(self) -> dict[str, np.ndarray]:
        """Every usable column that holds no lists, checked. A null is 0 or "", and a problem but in titles."""
        found, problems = {}, self.problems
        for field in SCHEMAS[self.name]:
            if field.name not in self.columns or pa.types.is_nested(field.type):
                continue
            column, own, text = field.name, f"{self.name}.{field.name}", pa.types.is_string(field.type)
            array = self.parquet.read(columns=[column])[column]
            if text:  # without what would reach pages and terminals and is no text
                array = pc.replace_substring_regex(array.cast(pa.string()), CONTROLS, "")
            null = array.is_null().to_numpy()
            values = found[column] = array.fill_null("" if text else 0).to_numpy()
            if column == "item_title":  # missing ones are counted in the report
                continue
            problems.add_rows(self.file, column, "a value", np.flatnonzero(null))
            if text:
                checks = [("a word", values == "")]
            else:
                low, high = LIMITS.get(own) or LIMITS[column]
                checks = [("0 or 1" if column == "label" else f"{low}..{high}", (values < low) | (values > high))]
            if own in UNIQUE:
                _, place, times = np.unique(values, return_inverse=True, return_counts=True)
                checks.append(("every value once", times[place] > 1))
            if column == "ID":
                checks.append(
                    ("an ID above the one before", np.append(False, values[1:] <= values[:-1])[: len(values)])
                )
            for expected, wrong in checks:
                rows = np.flatnonzero(wrong & ~null)
                shown = values[rows[:EXAMPLES]].tolist()
                problems.add_rows(self.file, column, expected, rows, list(map(repr, shown)))
        return found

    def id_lists(
        self, column: str, highest: int, expected: str, batch_rows: int, width: int | None = None
    ) -> Iterator[Lists]:
        """Lists of ids 1..``highest``, left-padded with 0 or not padded; all of one width where one is given.

        They come in batches, in row order and without padding. What is wrong becomes a problem and is left out, so
        that the rest of the file is still checked.
        """
        for lists in self._lists(column, batch_rows, width):
            values = lists.values
            wrong = (values < 0) | (values > highest)
            if wrong.any():
                self._add(column, f"{expected}, 1..{highest}", lists, np.flatnonzero(wrong))
                values = np.where(wrong, 0, values)
            else:
                late = late_zeros(values, lists.offsets)
                self._add(column, "zeros only to the left of the first item", lists, late)
            yield Lists(lists.start, *strip_padding(values, lists.offsets))

    def vectors(self, column: str, width: int, batch_rows: int) -> Iterator[np.ndarray]:
        """A column of finite vectors in batches ``[n, width]`` float32; batches with an unfit row are left out."""
        for lists in self._lists(column, batch_rows, width):
            with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which the next line finds
                values = lists.values.astype(np.float32)
            self._add(column, "finite numbers", lists, np.flatnonzero(~np.isfinite(values)))
            if (np.diff(lists.offsets) == width).all():
                yield values.reshape(-1, width)

    def _lists(self, column: str, batch_rows: int, width: int | None) -> Iterator[Lists]:
        """A list column in batches. Null lists and null values are reported and left out."""
        start = 0
        for batch in self.parquet.iter_batches(batch_size=batch_rows, columns=[column]):
            array = batch.column(0)
            null = np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))
            self.problems.add_rows(self.file, column, "a list", start + null)
            values = array.flatten()
            lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy()
            lists = Lists(start, offsets_of(lengths), pc.fill_null(values, 0).to_numpy())
            if values.null_count:
                holes = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
                rows = np.unique(np.searchsorted(lists.offsets, holes, side="right") - 1)
                self.problems.add_rows(self.file, column, "no null in a list", start + rows)
            if width is not None:
                wrong = np.flatnonzero(lengths != width)
                found = [f"{length} values" for length in lengths[wrong[:EXAMPLES]]]
                self.problems.add_rows(self.file, column, f"{width} values in every row", start + wrong, found)
            yield lists
            start += len(batch)
        if start != self.rows:
            raise MmctrError(f"{self.file}: column '{column}': expected {self.rows:,} rows, found {start:,}")

    def _add(self, column: str, expected: str, lists: Lists, positions: np.ndarray) -> None:
        """Rows of a list column by positions in its values; of each row the first is shown."""
        rows, first = np.unique(np.searchsorted(lists.offsets, positions, side="right") - 1, return_index=True)
        self.problems.add_rows(self.file, column, expected, lists.start + rows, lists.values[positions[first]])


def open_table(folder: RawFolder, name: str, problems: Problems) -> Table:
    """Open a challenge file and check which of the published columns are there and of the right kind.

    A file that is no parquet, or an absurd one, raises here, one with broken pages later: use it within
    ``problems.reading``.
    """
    parquet = open_parquet(folder.file(name))
    found, usable = parquet.schema_arrow, []
    spare = [column for column in found.names if column not in SCHEMAS[name].names]
    for field in SCHEMAS[name]:
        column, times, expected = field.name, found.names.count(field.name), _kind(field.type)
        if times > 1:
            problems.add(PATHS[name], f"column '{column}': expected once, found {times} times")
        elif times and _kind(found.field(column).type) != expected:
            problems.add(PATHS[name], f"column '{column}': expected {expected}, found {found.field(column).type}")
        elif times:
            usable.append(column)
        elif column not in DISPENSABLE:
            others = f"Columns that are not expected: {', '.join(spare) or 'none'}"
            problems.add(PATHS[name], f"column '{column}' is missing.{did_you_mean(column, spare)} {others}")
    rows = parquet.metadata.num_rows
    if rows == 0 and name != "tag_words":  # data without tags has no words for them
        problems.add(PATHS[name], "has no rows; expected at least one")
    return Table(name, PATHS[name], parquet, rows, usable, problems)


def _kind(kind: pa.DataType) -> str:
    """What a column's values are, whatever their width: types of one kind are taken for each other."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"lists of {_kind(kind.value_type)}"
    if pa.types.is_integer(kind):
        return "integers"
    if pa.types.is_floating(kind):
        return "floats"
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(text) or pa.types.is_large_string(text) or pa.types.is_string_view(text):
        return "text"
    return str(kind)
