"""The catalog's stores: what nodes read and write through, loaded whether or not anything is there yet."""

import pytest
import torch
from kedro.io import DataCatalog, DatasetError, MemoryDataset

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.datasets.stores import StoreDataset
from mmctr_kedro.hooks import ProjectHooks


def store(path, name: str) -> StoreDataset:
    entry = {"type": "mmctr_kedro.datasets.stores.StoreDataset", "store": f"mmctr_kedro.{name}", "filepath": str(path)}
    return DataCatalog.from_config({"a": {**entry, "metadata": {"kedro-viz": {"layer": "raw"}}}}).get("a")


def test_a_folder_loads_before_anything_is_in_it_and_exists_once_something_made_it(tmp_path):
    dataset = store(tmp_path / "new", "data.challenge.RawFolder")
    assert dataset.load() == RawFolder(tmp_path / "new")
    assert not dataset.exists()
    (tmp_path / "new").mkdir()
    assert dataset.exists()


def test_a_store_is_no_nodes_output(tmp_path):
    with pytest.raises(DatasetError, match=r"is a store.*raw_files"):
        store(tmp_path, "data.challenge.RawFolder").save(RawFolder(tmp_path))


def test_only_what_decides_no_result_is_a_cache_to_the_planner(tmp_path):
    names = ["data.challenge.RawFolder", "data.covers.Covers.find", "training.checkpoints.Checkpoints"]
    names.append("encoders.store.VectorStore")
    assert [store(tmp_path, name).cache for name in names] == [False, False, True, True]


def test_covers_written_during_a_run_are_seen_by_the_next_load(tmp_path):
    dataset = store(tmp_path, "data.covers.Covers.find")
    assert len(dataset.load()) == 0
    (tmp_path / "item_images").mkdir()
    (tmp_path / "item_images" / "4.jpg").write_bytes(b"four")
    assert list(dataset.load().read([4])) == [(4, b"four")]


def test_a_bad_archive_is_named(tmp_path):
    (tmp_path / "item_images.zip").write_bytes(b"not a zip")
    with pytest.raises(DatasetError, match=r"item_images\.zip cannot be read as a \.zip archive"):
        store(tmp_path, "data.covers.Covers.find").load()


def test_the_checkpoint_goes_when_the_last_output_of_its_training_is_saved(tmp_path):
    path = tmp_path / "06_models" / "checkpoint.pt"
    dataset = store(path, "training.checkpoints.Checkpoints")
    dataset.load().save({"seed": "1"}, {"weights": torch.ones(2)})
    assert torch.equal(dataset.load().load({"seed": "1"})["weights"], torch.ones(2))
    hooks = ProjectHooks()
    hooks.after_catalog_created(
        DataCatalog({"params:task2.checkpoint": dataset, "params:task1.checkpoint": MemoryDataset()})
    )
    hooks.after_dataset_saved("task2.ctr_model")
    assert path.exists()
    hooks.after_dataset_saved("task2.training_history")
    assert not path.exists()
