"""Padded lists become flat arrays and back, and each distinct history is found exactly once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kedro.data.jagged import (
    distinct,
    encode_users_lists,
    keep_newest,
    late_zeros,
    offsets_of,
    strip_padding,
)

WIDTH = 8
LISTS = st.lists(st.lists(st.integers(1, 2**31 - 1), max_size=WIDTH), max_size=12)


def jagged(lists: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    items = np.array([item for each in lists for item in each], np.int32)
    return offsets_of(np.array([len(each) for each in lists], np.int64)), items


def unjagged(offsets: np.ndarray, items: np.ndarray) -> list[list[int]]:
    return [items[a:b].tolist() for a, b in pairwise(offsets)]


@given(LISTS)
def test_padded_lists_are_stripped_to_their_items(lists):
    padded = np.array([[0] * (WIDTH - len(each)) + each for each in lists], np.int64).reshape(-1, WIDTH)
    offsets, items = strip_padding(padded.ravel(), np.arange(len(lists) + 1) * WIDTH)
    assert unjagged(offsets, items) == lists
    assert items.dtype == np.int32
    assert offsets.dtype == np.int64


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=8))
def test_zeros_are_late_exactly_where_an_item_of_the_list_stands_left_of_them(lists):
    offsets, values = jagged(lists)
    rows = np.unique(np.searchsorted(offsets, late_zeros(values, offsets), side="right") - 1)
    expected = [i for i, each in enumerate(lists) if "0" in "".join(map(str, each)).lstrip("0")]
    assert rows.tolist() == expected


@given(LISTS, st.integers(1, WIDTH))
def test_the_newest_items_are_the_last_ones(lists, most):
    assert unjagged(*keep_newest(*jagged(lists), most)) == [each[-most:] for each in lists]


SMALL_HISTORIES = st.lists(
    st.tuples(st.integers(1, 3), st.lists(st.integers(1, 2), max_size=3)), min_size=1, max_size=30
)


def by_hand(rows):
    found = list(dict.fromkeys((user, tuple(history)) for user, history in rows))
    return found, [found.index((user, tuple(history))) for user, history in rows]


def encoded(rows):
    return encode_users_lists(np.array([user for user, _ in rows], np.int32), *jagged([each for _, each in rows]))


@given(SMALL_HISTORIES, st.integers(1, 40))
def test_each_user_and_history_is_kept_once_in_order_of_appearance_whatever_the_batches(rows, size):
    parts = [encoded(rows[start : start + size]) for start in range(0, len(rows), size)]
    user, offsets, items, which = distinct(parts)
    expected, groups = by_hand(rows)
    assert list(zip(user.tolist(), map(tuple, unjagged(offsets, items)), strict=True)) == expected
    assert which.tolist() == groups
    assert [array.dtype for array in (user, offsets, items, which)] == [np.int32, np.int64, np.int32, np.int32]


@pytest.mark.parametrize("other", [(1, [1, 2]), (1, [2, 1, 1]), (1, [1]), (2, [2, 1]), (1, [])])
def test_another_user_order_or_length_is_another_history(other):
    assert len(distinct([encoded([(1, [2, 1]), other])])[0]) == 2
