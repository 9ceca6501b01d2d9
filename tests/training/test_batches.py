"""Rows of a split become a batch: worked out by hand on three histories."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.training.batches import cut, epoch_order, make_batch, parts_of


@pytest.fixture
def split() -> Clicks:
    """Histories: user 10 clicked 4 then 2, user 11 nothing, user 12 clicked 2, 7, 7."""
    return Clicks(
        history_user=np.array([10, 11, 12], np.int32),
        history_offsets=np.array([0, 2, 2, 5]),
        history_items=np.array([4, 2, 2, 7, 7], np.int32),
        history=np.array([0, 0, 1, 2], np.int32),
        item=np.array([9, 2, 4, 7], np.int32),
        likes_level=np.array([1, 2, 3, 4], np.int8),
        views_level=np.array([5, 6, 7, 8], np.int8),
        row_id=np.arange(4),
        label=np.array([1, 0, 0, 1], np.int8),
    )


def test_rows_are_gathered_in_the_order_asked_for(split):
    batch = make_batch(split, np.array([3, 2, 0]))
    assert batch.items.tolist() == [2, 4, 7, 9]  # distinct, ascending
    assert batch.items[batch.target].tolist() == [7, 4, 9]
    assert batch.offsets.tolist() == [0, 3, 3, 5]
    assert batch.items[batch.history].tolist() == [2, 7, 7, 4, 2]
    assert batch.likes_level.tolist() == [4, 3, 1]
    assert batch.views_level.tolist() == [8, 7, 5]
    assert batch.label.tolist() == [1.0, 0.0, 1.0]
    assert batch.label.dtype == torch.float32


def test_a_split_without_labels_gives_a_batch_without_labels(split):
    unlabelled = Clicks(**{**vars(split), "label": None})
    assert make_batch(unlabelled, np.array([0])).label is None


def test_rows_without_any_history_make_a_batch(split):
    batch = make_batch(split, np.array([2]))
    assert batch.offsets.tolist() == [0, 0]
    assert len(batch.history) == 0


def test_memory_mapped_arrays_are_read_and_never_written(split, tmp_path):
    mapped = {}
    for name, array in vars(split).items():
        np.save(tmp_path / f"{name}.npy", array)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    batch, plain = (make_batch(clicks, np.array([3, 0])) for clicks in (Clicks(**mapped), split))
    assert all(torch.equal(getattr(batch, name), getattr(plain, name)) for name in vars(plain) if name != "share")


def test_a_single_last_row_joins_the_batch_before():
    assert [len(rows) for rows in cut(np.arange(9), 4)] == [4, 5]
    assert [len(rows) for rows in cut(np.arange(1), 4)] == [1]
    assert [len(rows) for rows in cut(np.arange(8), 4)] == [4, 4]


def test_the_order_follows_from_seed_and_epoch_alone():
    first = epoch_order(50, seed=1, epoch=1)
    assert sorted(first) == list(range(50))
    assert np.array_equal(first, epoch_order(50, seed=1, epoch=1))
    assert not np.array_equal(first, epoch_order(50, seed=1, epoch=2))
    assert not np.array_equal(first, epoch_order(50, seed=2, epoch=1))


def test_the_newest_clicks_of_a_history_are_kept(split):
    batch = make_batch(split, np.array([0, 2, 3]), max_history=1)
    assert batch.offsets.tolist() == [0, 1, 1, 2]
    assert batch.items[batch.history].tolist() == [2, 7]
    assert batch.items.tolist() == [2, 4, 7, 9]  # no item that only a dropped click had


def test_a_longer_limit_than_any_history_keeps_all(split):
    whole, limited = (make_batch(split, np.arange(4), max_history=limit) for limit in (None, 64))
    assert all(torch.equal(getattr(whole, name), getattr(limited, name)) for name in vars(whole) if name != "share")


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60))
def test_distinct_items_are_those_of_numpys_unique(ids):
    rows = len(ids)
    clicks = Clicks(
        history_user=np.ones(1, np.int32),
        history_offsets=np.array([0, rows]),
        history_items=np.array(ids[::-1], np.int32),
        history=np.zeros(rows, np.int32),
        item=np.array(ids, np.int32),
        likes_level=np.ones(rows, np.int8),
        views_level=np.ones(rows, np.int8),
        row_id=np.arange(rows),
    )
    batch = make_batch(clicks, np.arange(rows))
    items, index = np.unique(ids, return_inverse=True)
    assert batch.items.tolist() == items.tolist()
    assert batch.target.tolist() == index.tolist()
    assert batch.items[batch.history].tolist() == ids[::-1] * rows


def test_parts_of_a_batch_differ_by_at_most_a_row_and_leave_none_alone():
    assert [part.tolist() for part in parts_of(np.arange(7), 3)] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [len(part) for part in parts_of(np.arange(5), 4)] == [3, 2]
    assert [len(part) for part in parts_of(np.arange(1), 4)] == [1]
