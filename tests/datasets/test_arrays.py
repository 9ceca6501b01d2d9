"""NpyDataset: read-only memory maps out, atomic writes in, and no write where nothing changed."""

import json

import numpy as np
import pytest
from kedro.io import DatasetError

from mmctr_kedro.datasets.arrays import NpyDataset


@pytest.fixture
def dataset(tmp_path) -> NpyDataset:
    return NpyDataset(filepath=str(tmp_path / "below" / "array.npy"))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int32).reshape(3, 2),
        np.array([], dtype=np.int32),
        np.zeros((0, 128), np.float32),
        np.array([np.nan, 1.0]),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(3),
    ],
    ids=["table", "empty", "no rows", "NaN", "column-major", "scalar"],
)
def test_an_array_comes_back_as_it_went_in(dataset, array):
    dataset.save(array)
    loaded = dataset.load()
    assert loaded.dtype == array.dtype
    assert loaded.shape == array.shape
    assert np.array_equal(loaded, array, equal_nan=True)


@pytest.mark.parametrize("array", [np.arange(3), np.array([], dtype=np.int64)], ids=["some", "empty"])
def test_what_is_given_out_cannot_be_written_to(dataset, array):
    dataset.save(array)
    assert not dataset.load().flags.writeable


def test_an_array_is_not_read_before_it_is_used(dataset):
    dataset.save(np.arange(3))
    assert isinstance(dataset.load(), np.memmap)


@pytest.mark.parametrize("array", [np.arange(3), np.array([np.nan]), np.array([], np.int8)])
def test_an_equal_array_leaves_the_file_alone(dataset, array, tmp_path):
    dataset.save(array)
    before = (tmp_path / "below" / "array.npy").stat()
    dataset.save(array.copy())
    after = (tmp_path / "below" / "array.npy").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize(
    "other", [np.array([1, 2, 4]), np.array([1, 2]), np.array([1, 2, 3], np.int32), np.array([[1, 2, 3]])]
)
def test_another_value_shape_or_type_replaces_the_file_and_old_maps_stay_whole(dataset, other):
    dataset.save(np.array([1, 2, 3]))
    old = dataset.load()
    dataset.save(other)
    assert np.array_equal(dataset.load(), other)
    assert dataset.load().dtype == other.dtype
    assert old.tolist() == [1, 2, 3]


@pytest.mark.parametrize("content", [b"\x93NUMPY", b"", b"PK", "pickle", "claims"])
def test_what_is_no_whole_array_is_named_and_replaced(dataset, tmp_path, content):
    path = tmp_path / "below" / "array.npy"
    path.parent.mkdir()
    with path.open("wb") as file:
        if content == "pickle":
            np.save(file, np.array([{}], dtype=object), allow_pickle=True)
        elif content == "claims":
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)})
        else:
            file.write(content)
    with pytest.raises(DatasetError, match=r"array\.npy cannot be read as a \.npy array"):
        dataset.load()
    dataset.save(np.arange(3))
    assert dataset.load().tolist() == [0, 1, 2]


def test_nothing_but_the_file_and_its_seal_is_left_behind(dataset, tmp_path):
    dataset.save(np.arange(3))
    assert {path.name for path in (tmp_path / "below").iterdir()} == {"array.npy", ".array.npy.sha256"}


def test_python_objects_are_refused_and_the_old_file_stays(dataset):
    dataset.save(np.arange(3))
    with pytest.raises(DatasetError):
        dataset.save(np.array([{}, []], dtype=object))
    assert dataset.load().tolist() == [0, 1, 2]


def test_it_exists_once_saved(dataset):
    assert not dataset.exists()
    dataset.save(np.arange(3))
    assert dataset.exists()


@pytest.mark.parametrize("array", [np.arange(20).reshape(10, 2), np.arange(3.0), np.zeros((2, 3, 4)), np.array(3)])
def test_the_preview_shows_shape_and_first_rows_as_json(dataset, array):
    dataset.save(array)
    preview = json.loads(json.dumps(dataset.preview()))
    assert str(list(array.shape)) in preview["columns"][0]
    assert all(len(row) == len(preview["columns"]) for row in preview["data"])


def test_the_preview_of_a_table_holds_its_first_rows(dataset):
    dataset.save(np.arange(20, dtype=np.int32).reshape(10, 2))
    preview = dataset.preview()
    assert preview["columns"] == ["row of [10, 2] int32", "0", "1"]
    assert preview["data"] == [[str(row), 2 * row, 2 * row + 1] for row in range(8)]


@pytest.mark.parametrize(
    ("shape", "names"), [((3, 4), ["0 (padding)", "1", "2"]), ((2, 2, 4), ["0, 0 (padding)", "0, 1"])]
)
def test_the_preview_says_where_padding_is(dataset, shape, names):
    array = np.ones(shape, np.float32)
    array[..., 0, :] = 0
    dataset.save(array)
    assert [row[0] for row in dataset.preview()["data"]][: len(names)] == names


def test_numbers_are_shown_with_four_digits(dataset):
    dataset.save(np.array([[1 / 3, np.nan]]))
    assert dataset.preview()["data"] == [["0", "0.3333", "nan"]]
