"""Padded lists become flat arrays and back, and each distinct history is found exactly once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kedro.data.processing import distinct as module
from mmctr_kedro.data.processing.distinct import concatenate, distinct, with_keys
from mmctr_kedro.data.processing.jagged import (
    keep_newest,
    late_zeros,
    offsets_of,
    pad_left,
    strip_padding,
    take,
)

WIDTH = 8
LISTS = st.lists(st.lists(st.integers(1, 2**31 - 1), max_size=WIDTH), max_size=12)


def jagged(lists: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    items = np.array([item for each in lists for item in each], np.int32)
    return offsets_of(np.array([len(each) for each in lists], np.int64)), items


def unjagged(offsets: np.ndarray, items: np.ndarray) -> list[list[int]]:
    return [items[a:b].tolist() for a, b in pairwise(offsets)]


@given(LISTS)
def test_padded_to_jagged_to_padded_is_the_same_table(lists):
    padded = np.array([[0] * (WIDTH - len(each)) + each for each in lists], np.int64).reshape(-1, WIDTH)
    offsets, items = strip_padding(padded.ravel(), np.arange(len(lists) + 1) * WIDTH)
    assert unjagged(offsets, items) == lists
    assert items.dtype == np.int32
    assert offsets.dtype == np.int64
    assert np.array_equal(pad_left(offsets, items, WIDTH), padded)


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=8))
def test_zeros_are_late_exactly_where_an_item_of_the_list_stands_left_of_them(lists):
    offsets, values = jagged(lists)
    rows = np.unique(np.searchsorted(offsets, late_zeros(values, offsets), side="right") - 1)
    expected = [i for i, each in enumerate(lists) if "0" in "".join(map(str, each)).lstrip("0")]
    assert rows.tolist() == expected


@given(LISTS, st.integers(1, WIDTH))
def test_the_newest_items_are_the_last_ones(lists, most):
    assert unjagged(*keep_newest(*jagged(lists), most)) == [each[-most:] for each in lists]


@given(LISTS, st.data())
def test_taken_lists_are_those_asked_for(lists, data):
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=9)) if lists else []
    assert unjagged(*take(*jagged(lists), np.array(rows, np.int64))) == [lists[row] for row in rows]


SMALL_HISTORIES = st.lists(
    st.tuples(st.integers(1, 3), st.lists(st.integers(1, 2), max_size=3)), min_size=1, max_size=30
)


def by_hand(rows):
    found = list(dict.fromkeys((user, tuple(history)) for user, history in rows))
    return found, [found.index((user, tuple(history))) for user, history in rows]


def check(rows, found, which):
    expected, groups = by_hand(rows)
    histories = unjagged(found.offsets, found.items)
    assert list(zip(found.user.tolist(), map(tuple, histories), strict=True)) == expected
    assert which.tolist() == groups


def histories_of(rows):
    return with_keys(np.array([user for user, _ in rows], np.int32), *jagged([history for _, history in rows]))


@given(SMALL_HISTORIES)
def test_each_user_and_history_is_kept_once_in_order_of_appearance(rows):
    check(rows, *distinct(histories_of(rows)))


@given(SMALL_HISTORIES)
@settings(max_examples=30)
def test_histories_that_share_a_hash_are_still_told_apart(rows):
    histories = histories_of(rows)
    collided = module.Histories(histories.user, histories.offsets, histories.items, np.zeros_like(histories.key))
    check(rows, *distinct(collided))


@given(SMALL_HISTORIES, st.integers(1, 7))
def test_a_stream_of_batches_gives_what_one_batch_gives(rows, size):
    parts, which, count = [], [], 0
    for start in range(0, len(rows), size):
        part, local = distinct(histories_of(rows[start : start + size]))
        parts.append(part)
        which.append(local + count)
        count += len(part.user)
    found, rank = distinct(concatenate(parts))
    check(rows, found, rank[np.concatenate(which)])


@pytest.mark.parametrize("other", [(1, [1, 2]), (1, [2, 1, 1]), (1, [1]), (2, [2, 1]), (1, [])])
def test_another_user_order_or_length_is_another_hash(other):
    assert len(set(histories_of([(1, [2, 1]), other]).key.tolist())) == 2
