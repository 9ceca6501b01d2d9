"""What a checkpoint holds, and which training may go on from it."""

import logging

import numpy as np
import pytest
import torch

from mmctr_kedro.common.machine import reproducible
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.training import loop
from mmctr_kedro.training.checkpoints import Checkpoints, fingerprint_of
from mmctr_kedro.training.steps import Steps

SETTINGS = {"batch_size": 16, "epochs": 3, "threads": 1, "device": "cpu", "checkpoint_minutes": 0.0}


class Killed(BaseException):
    """Stands for a signal: nothing catches it."""


@pytest.fixture
def splits(clicks) -> tuple[Clicks, Clicks]:
    return clicks(64, seed=1), clicks(40, seed=2)


@pytest.fixture
def checkpoints(tmp_path) -> Checkpoints:
    return Checkpoints(tmp_path / "models" / "checkpoint.pt")


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, logger="mmctr_kedro")
    return lambda: [record.getMessage() for record in caplog.records if "epoch 1/" not in record.getMessage()]


def train(network, splits, store=None, **settings):
    """Weights and history, without its times, of a training."""
    params = CtrParams(**SETTINGS | settings)
    with reproducible(params) as device:
        history = loop.fit(network, *splits, params, device, "tiny", store)
    times = {"seconds", "cpu_seconds", "rows_per_second"}
    untimed = [{key: entry[key] for key in entry if key not in times} for entry in history]
    return {name: value.clone() for name, value in network.state_dict().items()}, untimed


def interrupt_after(steps: int, monkeypatch) -> None:
    """Make the next training stop as by a signal when it would take its next step."""
    take, taken = Steps.take, []

    def take_or_die(self, parts):
        if len(taken) == steps:
            monkeypatch.setattr(Steps, "take", take)
            raise Killed
        taken.append(self)
        return take(self, parts)

    monkeypatch.setattr(Steps, "take", take_or_die)


def noisy(tiny):
    """A model that draws from the random state at every step."""
    model = tiny()
    model.out = torch.nn.Sequential(torch.nn.Dropout(0.3), model.out)
    return model


@pytest.mark.parametrize("stop", [1, 4, 11])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": "cosine", "warmup_steps": 6, "optimizer": "adamw", "weight_decay": 0.1},
        {"embedding_update": "lazy", "embedding_learning_rate": 0.1},
        {"precision": "fp16", "pairwise_weight": 0.3},
        {"evaluate_every": 3, "accumulate": 2, "max_history": 2},
        {"evaluate_every": 1, "patience": 2, "learning_rate": 1e-9},
    ],
)
def test_an_interrupted_training_ends_as_one_that_was_not(settings, stop, tiny, splits, checkpoints, monkeypatch):
    expected = train(noisy(tiny), splits, **settings)
    interrupt_after(stop, monkeypatch)
    try:
        train(noisy(tiny), splits, checkpoints, **settings)
    except Killed:
        pass
    else:
        assert settings.get("patience")  # it was over by then
    torch.rand(3)  # another process has another random state
    weights, history = train(noisy(tiny), splits, checkpoints, **settings)
    assert all(torch.equal(value, expected[0][name]) for name, value in weights.items())
    assert history == expected[1]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_interrupted_training_on_cuda_ends_as_one_that_was_not(precision, tiny, splits, checkpoints, monkeypatch):
    settings = {"device": "cuda", "precision": precision}
    expected = train(noisy(tiny), splits, **settings)
    interrupt_after(4, monkeypatch)
    with pytest.raises(Killed):
        train(noisy(tiny), splits, checkpoints, **settings)
    weights, history = train(noisy(tiny), splits, checkpoints, **settings)
    assert all(torch.equal(value, expected[0][name]) for name, value in weights.items())
    assert history == expected[1]


def test_it_says_where_it_goes_on(tiny, splits, checkpoints, monkeypatch, said):
    interrupt_after(6, monkeypatch)
    with pytest.raises(Killed):
        train(tiny(), splits, checkpoints)
    train(tiny(), splits, checkpoints)
    assert "tiny: resuming from epoch 2 step 2" in said()


def test_a_checkpoint_is_written_at_every_evaluation_and_when_its_minutes_are_over(
    tiny, splits, checkpoints, monkeypatch
):
    saves = []
    monkeypatch.setattr(checkpoints, "save", lambda fingerprint, state: saves.append(state["steps"]["done"]))
    train(tiny(), splits, checkpoints, checkpoint_minutes=100.0)
    assert saves == [4, 8, 12]
    saves.clear()
    train(tiny(), splits, checkpoints, checkpoint_minutes=0.0)
    assert saves == list(range(1, 13))


def test_a_training_that_was_over_takes_no_more_steps(tiny, splits, checkpoints, monkeypatch):
    """Killed after its last step and before its outputs were saved."""
    expected = train(tiny(), splits, checkpoints)
    interrupt_after(0, monkeypatch)
    weights, history = train(tiny(), splits, checkpoints)
    assert all(torch.equal(value, expected[0][name]) for name, value in weights.items())
    assert history == expected[1]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"learning_rate": 0.5}, "learning_rate (0.001, now 0.5)"),
        ({"seed": 1}, "seed (20242025, now 1)"),
        ({"threads": 2}, "threads (1, now 2)"),
        ({"epochs": 4}, "epochs (3, now 4)"),
        ({"model": {"name": "din", "net_dropout": 0.2}}, "model.net_dropout (0.1, now 0.2)"),
    ],
)
def test_a_checkpoint_of_other_settings_is_named_and_not_gone_on_from(change, part, tiny, splits, checkpoints, said):
    train(tiny(), splits, checkpoints)
    afresh = train(tiny(), splits, **change)
    found = train(tiny(), splits, checkpoints, **change)
    assert found[1] == afresh[1]
    assert all(torch.equal(value, afresh[0][name]) for name, value in found[0].items())
    assert any("checkpoint.pt is of another training" in line and part in line for line in said())
    assert not any("resuming" in line for line in said())


@pytest.mark.parametrize("minutes", [0.0, 5.0])
def test_how_often_checkpoints_are_written_is_no_other_training(minutes, tiny, splits, checkpoints, said):
    train(tiny(), splits, checkpoints)
    train(tiny(), splits, checkpoints, checkpoint_minutes=minutes)
    assert any("resuming" in line for line in said())


def parts_that_differ(one, other) -> list[str]:
    params, cpu = CtrParams(**SETTINGS), torch.device("cpu")
    prints = [fingerprint_of(model, train, valid, params, cpu) for model, train, valid in (one, other)]
    return [part for part in prints[0] if prints[0][part] != prints[1][part]]


def test_the_fingerprint_tells_other_clicks_weights_and_tables(tiny, splits, clicks):
    train, valid = splits
    relabelled = Clicks(**{**vars(train), "label": 1 - train.label})
    other_start, other_table, other_shape = tiny(scale=2.0), tiny(), tiny()
    other_table.register_buffer("content", torch.ones(3), persistent=False)
    other_shape.item = torch.nn.Embedding(30, 4)
    assert parts_that_differ((tiny(), train, valid), (tiny(), train, valid)) == []
    assert parts_that_differ((tiny(), train, valid), (tiny(), relabelled, valid)) == ["clicks_train"]
    assert parts_that_differ((tiny(), train, valid), (tiny(), train, clicks(40, seed=3))) == ["clicks_valid"]
    assert parts_that_differ((tiny(), train, valid), (other_start, train, valid)) == ["weights at the start"]
    assert parts_that_differ((tiny(), train, valid), (other_table, train, valid)) == ["item tables"]
    assert parts_that_differ((tiny(), train, valid), (other_shape, train, valid)) == ["weights at the start"]


def test_a_memory_mapped_split_is_the_same_split(tiny, splits, tmp_path):
    mapped = {}
    for name, array in vars(splits[0]).items():
        np.save(tmp_path / f"{name}.npy", array)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    assert parts_that_differ((tiny(), *splits), (tiny(), Clicks(**mapped), splits[1])) == []


def broken(content: bytes, kind: str, weight: torch.Tensor) -> bytes:
    place = content.index(weight.numpy().tobytes())
    return {
        "cut short": content[: len(content) // 2],
        "empty": b"",
        "something else": b"not a checkpoint",
        "changed in one bit of a weight": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
    }[kind]


@pytest.mark.parametrize("kind", ["cut short", "empty", "something else", "changed in one bit of a weight"])
def test_a_broken_checkpoint_is_named_and_training_starts_afresh(kind, tiny, splits, checkpoints, tmp_path, said):
    weights, history = train(tiny(), splits, checkpoints)
    path = tmp_path / "models" / "checkpoint.pt"
    path.write_bytes(broken(path.read_bytes(), kind, weights["item.weight"]))
    assert train(tiny(), splits, checkpoints)[1] == history
    assert any(f"{path} cannot be read" in line and "starts afresh" in line for line in said())
    assert not any("resuming" in line for line in said())


def test_a_checkpoint_can_hold_no_code(tmp_path, said):
    """It is loaded as tensors, numbers and strings alone."""
    path = tmp_path / "checkpoint.pt"
    torch.save({"fingerprint": {}, "state": {"surprise": Checkpoints(path)}}, path)
    assert Checkpoints(path).load({}) is None
    assert any("cannot be read" in line for line in said())


def test_clearing_leaves_nothing_behind(checkpoints, tmp_path):
    checkpoints.save({}, {"done": 1})
    checkpoints.of(2).save({}, {"done": 1})
    checkpoints.clear()
    assert list((tmp_path / "models").iterdir()) == []
    checkpoints.clear()  # nothing to do is no error
    assert checkpoints.load({}) is None
