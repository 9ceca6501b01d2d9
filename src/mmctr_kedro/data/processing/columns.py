"""Checks of list columns, a batch at a time: lists of ids (histories, tags) and vectors of floats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mmctr_kedro.data.processing.click_tables import Lists, Table
from mmctr_kedro.data.processing.jagged import late_zeros, strip_padding
from mmctr_kedro.data.processing.problems import EXAMPLES


class IdLists(NamedTuple):
    """Lists of ids of consecutive rows from ``start`` on, without padding, as ``jagged`` describes them."""

    start: int
    offsets: np.ndarray
    items: np.ndarray


def id_lists(
    table: Table, column: str, highest: int, expected: str, batch_rows: int, width: int | None = None
) -> Iterator[IdLists]:
    """Lists of ids 1..``highest``, left-padded with 0 or not padded; all of one width where one is given.

    What is wrong becomes a problem and is left out, so that the rest of the file is still checked.
    """
    for lists in table.lists(column, batch_rows):
        if width is not None:
            _check_widths(table, column, lists, width)
        values = lists.values
        if len(values) and (values.min() < 0 or values.max() > highest):
            wrong = (values < 0) | (values > highest)
            _add(table, column, f"{expected}, 1..{highest}", lists, np.flatnonzero(wrong))
            values = np.where(wrong, 0, values)
        else:
            late = late_zeros(values, lists.offsets)
            _add(table, column, "zeros only to the left of the first item", lists, late)
        yield IdLists(lists.start, *strip_padding(values, lists.offsets))


def vectors(table: Table, column: str, width: int, batch_rows: int, keep: bool) -> np.ndarray | None:
    """A column of finite vectors: ``[rows, width]`` float32; None if a row is unfit or ``keep`` is off."""
    parts: list[np.ndarray] | None = [] if keep else None
    for lists in table.lists(column, batch_rows):
        fit = _check_widths(table, column, lists, width)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which the next line finds
            values = lists.values.astype(np.float32)
        infinite = np.flatnonzero(~np.isfinite(values))
        _add(table, column, "finite numbers", lists, infinite[_first_of_row(lists, infinite)])
        if not fit:
            parts = None
        if parts is not None:
            parts.append(values.reshape(-1, width))
    return np.concatenate(parts) if parts else None


def _check_widths(table: Table, column: str, lists: Lists, width: int) -> bool:
    lengths = np.diff(lists.offsets)
    wrong = np.flatnonzero(lengths != width)
    found = [f"{length} values" for length in lengths[wrong[:EXAMPLES]].tolist()]
    table.problems.add_rows(table.file, column, f"{width} values in every row", wrong + lists.start, found)
    return not len(wrong)


def _first_of_row(lists: Lists, positions: np.ndarray) -> np.ndarray:
    return np.unique(lists.rows_of(positions), return_index=True)[1]


def _add(table: Table, column: str, expected: str, lists: Lists, positions: np.ndarray) -> None:
    rows, values = lists.rows_of(positions), lists.values[positions]
    table.problems.add_rows(table.file, column, expected, rows, values)
