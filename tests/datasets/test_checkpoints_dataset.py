"""The catalog's handle on a checkpoint, and the hook that clears it."""

import pytest
import torch
from kedro.io import DataCatalog, DatasetError, MemoryDataset

from mmctr_kedro.datasets.checkpoints import CheckpointsDataset
from mmctr_kedro.hooks import ProjectHooks


@pytest.fixture
def path(tmp_path):
    return tmp_path / "06_models" / "task2" / "checkpoint.pt"


@pytest.fixture
def dataset(path):
    return CheckpointsDataset(filepath=str(path), metadata={"kedro-viz": {"layer": "models"}})


def test_a_store_is_given_whether_or_not_there_is_a_checkpoint(dataset, path):
    assert not dataset.exists()
    dataset.load().save({"seed": "1"}, {"weights": torch.ones(2)})
    assert dataset.exists()
    assert torch.equal(dataset.load().load({"seed": "1"})["weights"], torch.ones(2))
    assert path.name in str(dataset)


def test_a_store_is_no_nodes_output(dataset):
    with pytest.raises(DatasetError, match=r"checkpoint.pt is a store"):
        dataset.save(dataset.load())


def test_the_checkpoint_goes_when_the_last_output_of_its_training_is_saved(dataset, path):
    dataset.load().save({}, {"done": 1})
    hooks = ProjectHooks()
    hooks.after_catalog_created(DataCatalog({"task2.checkpoint": dataset, "task1.checkpoint": MemoryDataset()}))
    hooks.after_dataset_saved("task2.ctr_model")
    assert path.exists()
    hooks.after_dataset_saved("task2.training_history")
    assert not path.exists()
