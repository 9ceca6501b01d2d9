"""ClicksDataset: a split as a folder of memory-mapped arrays."""

from dataclasses import replace

import numpy as np
import pytest
from kedro.io import DatasetError

from mmctr_kedro.common.seals import seal_of
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.arrays import ClicksDataset


@pytest.fixture
def clicks() -> Clicks:
    """Two users: one with the history 5, 6 and two rows, one with none and one row."""
    return Clicks(
        history_user=np.array([1, 2], np.int32),
        history_offsets=np.array([0, 2, 2]),
        history_items=np.array([5, 6], np.int32),
        history=np.array([0, 0, 1], np.int32),
        item=np.array([7, 8, 7], np.int32),
        likes_level=np.array([1, 2, 1], np.int8),
        views_level=np.array([3, 4, 3], np.int8),
        row_id=np.arange(3),
        label=np.array([1, 0, 0], np.int8),
    )


@pytest.fixture
def dataset(tmp_path) -> ClicksDataset:
    return ClicksDataset(filepath=str(tmp_path / "below" / "clicks"))


def same(left: Clicks, right: Clicks) -> bool:
    return all(
        (value is None and getattr(right, name) is None)
        or (value.dtype == getattr(right, name).dtype and np.array_equal(value, getattr(right, name)))
        for name, value in vars(left).items()
    )


def times(dataset: ClicksDataset) -> dict:
    return {path.name: path.stat().st_mtime_ns for path in dataset._filepath.iterdir()}


def test_a_split_comes_back_as_it_went_in(dataset, clicks):
    dataset.save(clicks)
    assert same(dataset.load(), clicks)


def test_a_split_without_labels_comes_back_without_them(dataset, clicks):
    dataset.save(clicks)
    dataset.save(replace(clicks, label=None))
    assert dataset.load().label is None


def test_a_split_whose_histories_are_all_empty_comes_back(dataset, clicks):
    empty = replace(clicks, history_offsets=np.zeros(3, np.int64), history_items=np.array([], np.int32))
    dataset.save(empty)
    assert same(dataset.load(), empty)


def test_arrays_given_out_are_read_only_maps(dataset, clicks):
    dataset.save(replace(clicks, history_offsets=np.zeros(3, np.int64), history_items=np.array([], np.int32)))
    loaded = dataset.load()
    assert not any(array.flags.writeable for array in vars(loaded).values())
    assert isinstance(loaded.item, np.memmap)


def test_an_equal_split_leaves_the_folder_alone(dataset, clicks):
    dataset.save(clicks)
    before = times(dataset)
    dataset.save(dataset.load())
    assert times(dataset) == before


def test_another_split_replaces_the_folder_and_old_maps_stay_whole(dataset, clicks):
    dataset.save(clicks)
    old = dataset.load()
    dataset.save(replace(clicks, item=clicks.item + 1))
    assert dataset.load().item.tolist() == [8, 9, 8]
    assert old.item.tolist() == [7, 8, 7]
    assert {path.name for path in dataset._filepath.parent.iterdir()} == {"clicks", ".clicks.sha256"}


def test_a_folder_that_lacks_an_array_says_what_to_run(dataset, clicks):
    dataset.save(clicks)
    (dataset._filepath / "item.npy").unlink()
    with pytest.raises(DatasetError, match=r"clicks/item\.npy differs"):
        dataset.load()
    seal_of(dataset._filepath).unlink()
    with pytest.raises(DatasetError, match=r"item\.npy.*kedro run --pipeline data_processing"):
        dataset.load()
