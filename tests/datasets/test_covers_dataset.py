"""The catalog's covers: found anew at every load."""

import pytest
from kedro.io import DatasetError

from mmctr_kedro.data.covers import Covers
from mmctr_kedro.datasets.covers import CoversDataset


def test_covers_written_during_a_run_are_seen_by_the_next_load(tmp_path):
    dataset = CoversDataset(filepath=str(tmp_path))
    assert len(dataset.load()) == 0
    (tmp_path / "item_images").mkdir()
    (tmp_path / "item_images" / "4.jpg").write_bytes(b"four")
    assert list(dataset.load().read([4])) == [(4, b"four")]


def test_a_bad_archive_is_named(tmp_path):
    (tmp_path / "item_images.zip").write_bytes(b"not a zip")
    with pytest.raises(DatasetError, match=r"item_images\.zip cannot be read as a \.zip archive"):
        CoversDataset(filepath=str(tmp_path)).load()


def test_covers_are_read_only(tmp_path):
    with pytest.raises(DatasetError, match="read only"):
        CoversDataset(filepath=str(tmp_path)).save(Covers(None))
