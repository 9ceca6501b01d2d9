"""The catalog's raw folder: a store that nodes write through."""

import pytest
from kedro.io import DataCatalog, DatasetError

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.datasets.raw_folder import RawFolderDataset


def test_a_folder_loads_before_anything_is_in_it(tmp_path):
    dataset = RawFolderDataset(filepath=str(tmp_path / "new"))
    assert dataset.load() == RawFolder(tmp_path / "new")
    assert not dataset.exists()


def test_a_folder_exists_once_something_made_it(tmp_path):
    assert RawFolderDataset(filepath=str(tmp_path)).exists()


def test_saving_says_that_it_is_a_store(tmp_path):
    with pytest.raises(DatasetError, match=r"is a store.*raw_files"):
        RawFolderDataset(filepath=str(tmp_path)).save(RawFolder(tmp_path))


def test_the_catalog_builds_it_with_metadata(tmp_path):
    entry = {
        "type": "mmctr_kedro.datasets.raw_folder.RawFolderDataset",
        "filepath": str(tmp_path),
        "metadata": {"kedro-viz": {"layer": "raw"}},
    }
    assert DataCatalog.from_config({"log_folder": entry}).load("log_folder") == RawFolder(tmp_path)
