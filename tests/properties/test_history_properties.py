"""Histories of any length survive every step: from padded lists to distinct ones, to files, to batches."""

import tempfile
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.jagged import distinct, encode_users_lists, keep_newest, late_zeros, strip_padding
from mmctr_kedro.datasets.arrays import ClicksDataset
from mmctr_kedro.training.batches import batches_after, cut, epoch_order, make_batch, parts_of, steps_per_epoch
from tests.properties import plain

quick = settings(max_examples=100, deadline=None, derandomize=True)
WIDTH = 6
ITEM = st.integers(1, 40)
HISTORY = st.lists(ITEM, max_size=WIDTH)
Row = tuple[int, list[int], int, int, int, int]  # user, history, item, likes, views, label
ROWS = st.lists(
    st.tuples(st.integers(1, 3), HISTORY, ITEM, st.integers(0, 10), st.integers(0, 10), st.integers(0, 1)),
    min_size=1,
    max_size=20,
)


def clicks_of(rows: list[Row], most: int = WIDTH) -> Clicks:
    """As data_processing makes them: from padded lists, each distinct (user, history) once."""
    user, histories, *others = zip(*rows, strict=True)
    padded = np.array([[0] * (WIDTH - len(each)) + each for each in histories], np.int64)
    offsets = np.arange(len(rows) + 1) * WIDTH
    assert not len(late_zeros(padded.ravel(), offsets))
    kept = keep_newest(*strip_padding(padded.ravel(), offsets), most)
    found = distinct([encode_users_lists(np.array(user, np.int32), *kept)])
    item, likes, views, label = (
        np.array(column, kind) for column, kind in zip(others, (np.int32, np.int8, np.int8, np.int8), strict=True)
    )
    return Clicks(*found, item, likes, views, np.arange(len(rows)), label)


@quick
@given(ROWS, st.integers(1, WIDTH))
def test_rows_keep_their_user_and_the_newest_of_their_history(rows, most):
    clicks = clicks_of(rows, most)
    expected = [
        (user, history[-most:], item, likes, views, number, label)
        for number, (user, history, item, likes, views, label) in enumerate(rows)
    ]
    assert plain.rows_of(clicks) == expected
    assert len(clicks.history_user) == len({(row[0], tuple(row[1])) for row in expected})
    assert clicks.user.tolist() == [row[0] for row in expected]
    assert clicks.history_length.tolist() == [len(row[1]) for row in expected]


@settings(quick, max_examples=40)
@given(ROWS)
def test_rows_come_back_from_disk_as_they_were(rows):
    clicks = clicks_of(rows)
    with tempfile.TemporaryDirectory() as path:
        dataset = ClicksDataset(filepath=f"{path}/clicks_train")
        dataset.save(clicks)
        found = dataset.load()
        assert {name: array.tolist() for name, array in vars(found).items()} == {
            name: array.tolist() for name, array in vars(clicks).items()
        }
        assert [array.dtype for array in vars(found).values()] == [array.dtype for array in vars(clicks).values()]


@quick
@given(ROWS, st.data())
def test_a_batch_is_what_a_slow_loop_gathers(rows, data):
    """Any rows in any order, twice too; histories may be empty and targets may be in no history."""
    clicks = clicks_of(rows)
    asked = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=12), label="rows")
    most = data.draw(st.none() | st.integers(1, WIDTH + 1), label="max_history")
    batch = make_batch(clicks, np.array(asked), max_history=most)
    histories = [rows[row][1][-(most or WIDTH) :] for row in asked]
    assert batch.items[batch.target].tolist() == [rows[row][2] for row in asked]
    found = batch.items[batch.history].tolist()
    assert [found[a:b] for a, b in pairwise(batch.offsets.tolist())] == histories
    assert batch.items.tolist() == sorted({rows[row][2] for row in asked}.union(*histories))
    assert batch.likes_level.tolist() == [rows[row][3] for row in asked]
    assert batch.views_level.tolist() == [rows[row][4] for row in asked]
    assert batch.label.tolist() == [rows[row][5] for row in asked]


@quick
@given(ROWS, st.data())
def test_another_order_of_rows_is_the_same_batch_in_that_order(rows, data):
    clicks = clicks_of(rows)
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    batch, other = make_batch(clicks, np.arange(len(rows))), make_batch(clicks, order)
    assert other.items.tolist() == batch.items.tolist()
    assert other.target.tolist() == batch.target[order].tolist()
    parts = [batch.history[a:b].tolist() for a, b in pairwise(batch.offsets.tolist())]
    assert other.history.tolist() == [item for row in order for item in parts[row]]


@quick
@given(st.integers(1, 200), st.integers(2, 50), st.integers(1, 9))
def test_every_row_is_in_one_batch_and_in_one_part_and_none_is_alone(rows, batch_size, parts):
    batches = cut(np.arange(rows), batch_size)
    assert np.concatenate(batches).tolist() == list(range(rows))
    assert len(batches) == steps_per_epoch(rows, batch_size)
    assert all(1 < len(batch) <= batch_size + 1 for batch in batches) or rows == 1
    for batch in batches:
        pieces = parts_of(batch, parts)
        assert np.concatenate(pieces).tolist() == batch.tolist()
        assert len(pieces) <= parts
        assert min(map(len, pieces)) >= min(2, len(batch))


@quick
@given(st.integers(1, 60), st.integers(2, 20), st.integers(0, 2**32), st.integers(1, 3), st.data())
def test_a_training_that_stopped_goes_on_with_exactly_the_batches_it_lacks(rows, batch_size, seed, epochs, data):
    def batches(done: int) -> list:
        return [(epoch, batch.tolist()) for epoch, batch in batches_after(done, rows, batch_size, seed, epochs)]

    whole = batches(0)
    for epoch in range(1, epochs + 1):
        visited = [row for own, batch in whole if own == epoch for row in batch]
        assert visited == epoch_order(rows, seed, epoch).tolist()
        assert sorted(visited) == list(range(rows))
    done = data.draw(st.integers(0, len(whole)), label="done")
    assert batches(done) == whole[done:]
