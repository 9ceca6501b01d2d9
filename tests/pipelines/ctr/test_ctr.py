"""The ctr nodes and the template, on clicks that follow a topic."""

import copy
import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.trained import CtrModelDataset
from mmctr_kedro.models import model_settings
from mmctr_kedro.models.model_file import model_bytes
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams, TrainingControls
from mmctr_kedro.pipelines.ctr import create_pipeline
from mmctr_kedro.pipelines.ctr.nodes import leave_out_the_leak, predict, train_fixed_model, train_model
from mmctr_kedro.training.checkpoints import Checkpoints

QUICK = {"epochs": 2, "batch_size": 32, "threads": 1, "device": "cpu"}


@pytest.fixture
def splits(clicks) -> dict[str, Clicks]:
    test = clicks(20, seed=3)
    return {
        "train": clicks(96, seed=1),
        "valid": clicks(40, seed=2),
        "test": Clicks(**{**vars(test), "label": None, "row_id": test.row_id + 1000}),
    }


@pytest.fixture
def trained(splits, item_tags, item_embedding):
    return train_model(CtrParams(**QUICK), splits["train"], splits["valid"], item_tags, item_embedding)


def test_predictions_hold_valid_and_test_rows_in_order(trained, splits, item_tags, item_embedding):
    frame = predict(trained[0], splits["valid"], splits["test"], item_tags, item_embedding)
    assert list(frame.columns) == ["split", "row_id", "pctr"]
    assert frame["split"].tolist() == ["valid"] * 40 + ["test"] * 20
    assert frame["row_id"].tolist() == [*range(40), *range(1000, 1020)]
    assert frame["pctr"].dtype == np.float32
    assert frame["pctr"].between(0, 1).all()


def test_predictions_of_valid_are_those_training_measured(trained, splits, item_tags, item_embedding):
    from mmctr_kedro.evaluation.metrics import auc

    frame = predict(trained[0], splits["valid"], splits["test"], item_tags, item_embedding)
    measured = auc(splits["valid"].label, frame["pctr"].to_numpy()[:40])
    assert measured == max(entry["valid_auc"] for entry in trained[1])


def test_the_fixed_model_is_the_general_one_with_its_five_values(splits, item_tags, item_embedding):
    tables = (splits["train"], splits["valid"], item_tags, item_embedding)
    fixed, history = train_fixed_model(FixedCtrParams(**QUICK, net_dropout=0.2), *tables)
    organisers = {"patience": 3, "rate_decay": 0.1, "rate_patience": 1}
    general, _ = train_model(CtrParams(**QUICK, **organisers, model={"name": "din", "net_dropout": 0.2}), *tables)
    assert fixed.settings == {**general.settings, "fixed": True}
    assert all(np.array_equal(fixed.weights[name], general.weights[name]) for name in general.weights)
    assert history[-1]["epoch"] == 2


TUNED = {
    "embedding_regularizer": 0.1,
    "net_regularizer": 0.1,
    "net_dropout": 0.5,
    "learning_rate": 0.01,
    "batch_size": 48,
}


def test_the_five_values_are_all_that_task_1_may_tune():
    assert set(TUNED) == set(FixedCtrParams.model_fields) - set(TrainingControls.model_fields)


@pytest.mark.parametrize(("name", "value"), [*TUNED.items(), ("seed", 1)])
def test_each_value_of_task_1_reaches_its_training(name, value, splits, item_tags, item_embedding):
    tables = (splits["train"], splits["valid"], item_tags, item_embedding)
    once = FixedCtrParams(**{**QUICK, "epochs": 1})
    (before, _), (after, history) = (
        train_fixed_model(params, *tables) for params in (once, once.model_copy(update={name: value}))
    )
    first = "attention.first.weight"
    assert not np.array_equal(before.weights[first], after.weights[first])
    assert model_settings(after) == once.model_copy(update={name: value})
    assert history[0]["learning_rate"] == (value if name == "learning_rate" else 1e-3)


def test_the_fixed_model_says_and_records_each_epoch_and_names_the_one_it_kept(
    splits, item_tags, item_embedding, caplog
):
    params = FixedCtrParams(**{**QUICK, "epochs": 9, "patience": 1})
    with caplog.at_level("INFO", logger="mmctr_kedro.training.loop"):
        model, history = train_fixed_model(params, splits["train"], splits["valid"], item_tags, item_embedding)
    assert [entry["epoch"] for entry in history] == list(range(1, len(history) + 1))
    assert all(f"epoch {entry['epoch']}/9: loss {entry['train_loss']:.4f}" in caplog.text for entry in history)
    assert len(caplog.records) == len(history) < 9
    assert model.settings["best_epoch"] == len(history) - 1  # patience 1: the next epoch was the last


def test_a_training_that_was_killed_before_its_outputs_were_saved_is_not_repeated(
    splits, item_tags, item_embedding, tmp_path, caplog
):
    tables = (splits["train"], splits["valid"], item_tags, item_embedding)
    for node, params in ((train_model, CtrParams(**QUICK)), (train_fixed_model, FixedCtrParams(**QUICK))):
        expected, history = node(params, *tables)
        checkpoints = Checkpoints(tmp_path / node.__name__ / "checkpoint.pt")
        node(params, *tables, checkpoints)
        with caplog.at_level("INFO", logger="mmctr_kedro.training.loop"):
            again, entries = node(params, *tables, checkpoints)
        assert "din: resuming from epoch 2 step 3" in caplog.text  # the last there is
        assert all(np.array_equal(again.weights[name], expected.weights[name]) for name in expected.weights)
        assert [entry["valid_auc"] for entry in entries] == [entry["valid_auc"] for entry in history]
        assert again.settings == expected.settings


def test_what_a_notebook_has_set_in_torch_neither_reaches_a_training_nor_is_lost(
    trained, splits, item_tags, item_embedding
):
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            again, _ = train_model(CtrParams(**QUICK), splits["train"], splits["valid"], item_tags, item_embedding)
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert model_bytes(again) == model_bytes(trained[0])


def test_nodes_leave_their_inputs_alone(splits, item_tags, item_embedding):
    before = copy.deepcopy((splits, item_tags, item_embedding))
    model, _ = train_model(CtrParams(**QUICK), splits["train"], splits["valid"], item_tags, item_embedding)
    weights = copy.deepcopy(model.weights)
    predict(model, splits["valid"], splits["test"], item_tags, item_embedding)
    for name, split in before[0].items():
        for field, array in vars(split).items():
            assert np.array_equal(array, getattr(splits[name], field)) or array is None
    assert np.array_equal(before[1], item_tags)
    assert np.array_equal(before[2], item_embedding)
    assert all(np.array_equal(weights[name], model.weights[name]) for name in weights)


def test_a_saved_model_comes_back_with_equal_bytes(trained, tmp_path):
    dataset = CtrModelDataset(filepath=str(tmp_path / "task2" / "ctr_model.safetensors"))
    assert not dataset.exists()
    dataset.save(trained[0])
    first = (tmp_path / "task2" / "ctr_model.safetensors").read_bytes()
    loaded = dataset.load()
    assert loaded.settings == trained[0].settings
    assert all(np.array_equal(loaded.weights[name], trained[0].weights[name]) for name in trained[0].weights)
    dataset.save(loaded)
    assert (tmp_path / "task2" / "ctr_model.safetensors").read_bytes() == first


def test_a_file_that_is_no_model_is_named(tmp_path):
    path = tmp_path / "task1" / "ctr_model.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"not a model")
    with pytest.raises(DatasetError, match=r"ctr_model.safetensors is not a CTR model.*--pipeline task1"):
        CtrModelDataset(filepath=str(path)).load()


@pytest.mark.parametrize("extra", [{"model": {"name": "qin"}}, {"attention_dropout": 0.2}])
def test_task_1_refuses_anything_but_the_five_values_naming_the_rule(extra):
    name, value = next(iter(extra.items()))
    with pytest.raises(ValueError, match="Task 1 is judged by the fixed DIN: only embedding_regularizer") as error:
        FixedCtrParams(**extra)
    assert f"{name}={value!r}" in str(error.value)


@pytest.mark.parametrize(
    ("task", "embedding", "params"),
    [
        ("task1", "item_embedding", FixedCtrParams(**QUICK)),
        ("task2", "provided_item_embedding", CtrParams(**QUICK)),
        ("task1_and_2", "item_embedding", CtrParams(**QUICK)),
    ],
)
def test_each_task_runs_alone_on_its_own_embedding(task, embedding, params, splits, item_tags, item_embedding):
    inputs = {
        **{f"clicks_{name}": split for name, split in splits.items()},
        "item_tags": item_tags,
        embedding: item_embedding,
        f"params:{task}.ctr": params,
        f"params:{task}.checkpoint": None,
        f"params:{task}.leak_free_checkpoint": None,
        "data_diagnostics": {"leak": {"levels": False}},
        "item_content": item_content,
    }
    pipeline = create_pipeline(task)
    assert pipeline.inputs() == set(inputs)
    made = ("training_history", "predictions", "leak_free_model", "leak_free_predictions")
    assert pipeline.outputs() == {f"{task}.{name}" for name in made}
    catalog = DataCatalog({name: MemoryDataset(value, copy_mode="assign") for name, value in inputs.items()})
    outputs = SequentialRunner().run(pipeline, catalog)
    predictions, left = (outputs[f"{task}.{name}"].load() for name in ("predictions", "leak_free_predictions"))
    assert len(predictions) == 60
    pd.testing.assert_frame_equal(left, predictions[predictions["split"] == "valid"])  # nothing leaks


@pytest.fixture
def item_content(item_embedding):
    """Levels of every item: 1 + its id modulo 10."""
    ids = np.arange(1, len(item_embedding))
    return pd.DataFrame({"item_id": ids, "likes_level": ids % 10 + 1, "views_level": ids % 10 + 1})


LEAK = {"leak": {"levels": True}}
EVIDENCE = {**QUICK, "model": {"name": "evidence", "compare": False}}


def test_our_model_leaves_the_leak_out_by_switching_a_piece_off(splits, item_tags, item_embedding, item_content):
    train, valid, test = splits.values()
    model, _ = train_model(CtrParams(**EVIDENCE), train, valid, item_tags, item_embedding)
    left, predicted = leave_out_the_leak(model, LEAK, item_content, train, valid, item_tags, item_embedding)
    assert left.settings["leak_free"] == "what reads the levels is switched off"
    assert not [name for name in left.weights if "levels" in name]
    assert all(np.array_equal(model.weights[name], array) for name, array in left.weights.items())
    shuffled = dataclasses.replace(valid, likes_level=valid.likes_level[::-1], views_level=valid.views_level[::-1])
    again = predict(left, shuffled, test, item_tags, item_embedding)
    pd.testing.assert_frame_equal(again[again["split"] == "valid"], predicted)


@pytest.mark.parametrize("fixed", [True, False])
def test_any_other_model_is_trained_again_on_rows_with_their_own_items_levels(
    fixed, splits, item_tags, item_embedding, item_content
):
    train, valid, _ = splits.values()
    node, params = (train_fixed_model, FixedCtrParams(**QUICK)) if fixed else (train_model, CtrParams(**QUICK))
    tables = (item_tags, item_embedding)
    model, _ = node(params, train, valid, *tables)
    left, predicted = leave_out_the_leak(model, LEAK, item_content, train, valid, *tables)
    own = [dataclasses.replace(c, likes_level=c.item % 10 + 1, views_level=c.item % 10 + 1) for c in (train, valid)]
    expected, _ = node(params, *own, *tables)
    assert all(np.array_equal(expected.weights[name], left.weights[name]) for name in expected.weights)
    assert left.settings["fixed"] == fixed
    assert len(predicted) == len(valid)


def test_our_model_says_in_its_settings_what_it_compared(splits, item_tags, item_embedding):
    params = CtrParams(**QUICK, model={"name": "evidence"})
    model, history = train_model(params, splits["train"], splits["valid"], item_tags, item_embedding)
    compared = model.settings["compared"]
    assert [entry["piece"] for entry in compared] == ["levels", "absorbed record", "record", "popularity", "co-clicks"]
    assert model.settings["ctr"]["model"]["popularity"] == compared[3]["kept"]
    assert model.settings["best_epoch"] in [entry["epoch"] for entry in history]
