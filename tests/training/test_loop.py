"""The loop against its definition: penalties, early stopping, rate decay, reproducibility, errors."""

import logging
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmctr_kedro.common import progress
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.machine import pick_device, reproducible
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.models import build_model
from mmctr_kedro.models.layers import CtrModel
from mmctr_kedro.models.settings import MODEL_PARAMS, CtrParams
from mmctr_kedro.training import loop
from mmctr_kedro.training.batches import make_batch
from mmctr_kedro.training.steps import add_penalties, penalties_of
from mmctr_kedro.training.trained_model import train_network

CPU = torch.device("cpu")
SMALL = {"batch_size": 16, "threads": 1, "device": "cpu"}


@pytest.fixture
def train(clicks):
    return clicks(64, seed=1)


@pytest.fixture
def valid(clicks):
    return clicks(40, seed=2)


def run(params, train, valid, item_tags, item_embedding):
    with reproducible(params) as device:
        model = build_model(params, item_tags, item_embedding)
        return model, loop.fit(model, train, valid, params, device)


@pytest.mark.parametrize("name", MODEL_PARAMS)
def test_every_model_overfits_eight_clicks(name, small, no_dropout, clicks, item_tags, item_embedding):
    eight = clicks(8, seed=3)
    settings = {"model": small(name, **no_dropout(name)), "embedding_regularizer": 0, "learning_rate": 5e-3}
    params = CtrParams(**SMALL, **settings, epochs=60, patience=60, schedule="constant")
    _, history = run(params, eight, eight, item_tags, item_embedding)
    assert history[-1]["valid_logloss"] < 0.2
    assert max(entry["valid_auc"] for entry in history) == 1.0


def test_the_model_learns_what_the_clicks_follow(clicks, item_tags, item_embedding):
    params = CtrParams(**SMALL, epochs=6)
    _, history = run(params, clicks(800, seed=4), clicks(400, seed=5), item_tags, item_embedding)
    assert max(entry["valid_auc"] for entry in history) > 0.85


@pytest.mark.parametrize("name", MODEL_PARAMS)
@pytest.mark.parametrize(
    "settings",
    [
        {"embedding_update": "lazy", "embedding_regularizer": 1e-4},
        {"precision": "bf16", "optimizer": "adamw", "weight_decay": 0.01},
        {"accumulate": 3, "pairwise_weight": 0.3, "max_history": 3},
    ],
)
def test_every_model_learns_under_every_setting(name, settings, small, clicks, item_tags, item_embedding):
    train = clicks(96, seed=1)
    params = CtrParams(**SMALL | {"batch_size": 48}, **settings, epochs=12, patience=12, model=small(name))
    _, history = run(params, train, train, item_tags, item_embedding)
    # Our own model's loss has the cross-entropy of levels in it, which are random here.
    assert history[-1]["train_loss"] < (0.9 if name == "evidence" else 0.8) * history[0]["train_loss"]


@pytest.mark.parametrize("name", MODEL_PARAMS)
def test_the_same_seed_gives_the_same_bytes_whatever_ran_before(name, small, train, valid, item_tags, item_embedding):
    params = CtrParams(**SMALL, epochs=2, model=small(name))
    results = []
    for draws in (0, 3):
        torch.rand(draws)
        model, history = run(params, train, valid, item_tags, item_embedding)
        weights = b"".join(value.numpy().tobytes() for value in model.state_dict().values())
        results.append((weights, [entry["valid_auc"] for entry in history]))
    assert results[0] == results[1]
    other, _ = run(params.model_copy(update={"seed": 1}), train, valid, item_tags, item_embedding)
    assert b"".join(value.numpy().tobytes() for value in other.state_dict().values()) != results[0][0]


def test_global_state_is_left_as_it_was(train, valid, item_tags, item_embedding):
    before = torch.random.get_rng_state(), torch.get_num_threads()
    run(CtrParams(**SMALL, epochs=1), train, valid, item_tags, item_embedding)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    assert not torch.are_deterministic_algorithms_enabled()


def test_threads_and_device_are_those_asked_for():
    before = torch.get_num_threads()
    with reproducible(CtrParams(threads=before + 1, device="cpu")) as device:
        assert device == CPU
        assert torch.get_num_threads() == before + 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("model", "threads"), [("din", 2), ("evidence", 1)])
def test_threads_come_from_settings_and_model_whatever_the_machine_has(model, threads):
    for of_process in (1, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(of_process)
        with reproducible(CtrParams(device="cpu", model={"name": model})):
            assert torch.get_num_threads() == threads
        torch.set_num_threads(before)


def test_penalties_are_half_lambda_times_the_squared_norm_of_whole_tables(train, item_tags, item_embedding):
    """Value and gradient, against autograd on the formula; rows that no batch touches are covered too."""
    params = CtrParams(embedding_regularizer=0.3, net_regularizer=0.02)
    model = build_model(params, item_tags, item_embedding).eval()
    tables = ("items.", "likes_level.", "views_level.")
    logits = model(make_batch(train, np.arange(2)))
    formula = sum(
        (0.3 if name.startswith(tables) else 0.02) / 2 * parameter.square().sum()
        for name, parameter in model.named_parameters()
    )
    label = torch.tensor([1.0, 0.0])
    expected = torch.autograd.grad(
        F.binary_cross_entropy_with_logits(logits, label) + formula, list(model.parameters())
    )
    F.binary_cross_entropy_with_logits(model(make_batch(train, np.arange(2))), label).backward()
    penalty = add_penalties(penalties_of(model, params))
    assert penalty == pytest.approx(formula.item(), rel=1e-5)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-8)
    untouched = sorted(set(range(1, 21)) - set(make_batch(train, np.arange(2)).items.tolist()))
    assert model.items.item.weight.grad[untouched].abs().min() > 0


def test_embedding_regularizer_covers_tables_and_projection_alone(item_tags, item_embedding):
    model = build_model(CtrParams(), item_tags, item_embedding)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    covered = {names[id(parameter)] for parameter in model.embedding_parameters()}
    tables = {f"{name}.weight" for name in ("items.item", "items.tag", "items.content")}
    assert covered == tables | {"likes_level.weight", "views_level.weight"}


class Scripted(CtrModel):
    """A model whose valid AUC is scripted: epoch by epoch it ranks the four rows as told."""

    def __init__(self, aucs):
        super().__init__()
        self.aucs = aucs
        self.weight = nn.Parameter(torch.zeros(4))
        self.register_buffer("epoch", torch.tensor(-1))

    def forward(self, batch):
        if self.training:
            return self.weight[: len(batch)]
        self.epoch += 1
        scores = {0.5: [0.0, 0.0, 0.0, 0.0], 1.0: [3.0, 2.0, 1.0, 0.0]}  # the first two rows are the clicks
        return torch.tensor(scores[self.aucs[int(self.epoch)]])

    def embedding_parameters(self):
        return []


def four_rows() -> Clicks:
    """No histories; the first two rows are clicks."""
    return Clicks(
        history_user=np.array([1], np.int32),
        history_offsets=np.array([0, 0]),
        history_items=np.array([], np.int32),
        history=np.zeros(4, np.int32),
        item=np.array([1, 2, 3, 4], np.int32),
        likes_level=np.ones(4, np.int8),
        views_level=np.ones(4, np.int8),
        row_id=np.arange(4),
        label=np.array([1, 1, 0, 0], np.int8),
    )


def test_early_stopping_waits_patience_epochs_and_restores_the_best_one():
    model = Scripted([0.5, 1.0, 0.5, 1.0, 0.5, 0.5])
    history = loop.fit(model, four_rows(), four_rows(), CtrParams(patience=3), CPU)
    assert [entry["valid_auc"] for entry in history] == [0.5, 1.0, 0.5, 1.0, 0.5]
    assert int(model.epoch) == 1  # the state after the second evaluation


def test_an_evaluation_must_gain_a_millionth_to_be_the_best_one():
    for gain, best in ((0.9e-6, 1), (1.1e-6, 2)):
        history = [{"step": 1, "valid_auc": 0.7}, {"step": 2, "valid_auc": 0.7 + gain}]
        assert loop.best_evaluation(history)["step"] == best


ORGANISERS = {"rate_decay": 0.1, "rate_patience": 1}


def test_the_learning_rate_falls_tenfold_after_every_epoch_without_a_gain_down_to_its_floor():
    model = Scripted([1.0] * 7)
    history = loop.fit(model, four_rows(), four_rows(), CtrParams(patience=6, **ORGANISERS), CPU)
    rates = [entry["learning_rate"] for entry in history]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-6, 1e-6], rel=1e-9)


def test_a_first_dip_does_not_lower_the_rate_of_our_own_trainings():
    model = Scripted([1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    history = loop.fit(model, four_rows(), four_rows(), CtrParams(), CPU)
    rates = [entry["learning_rate"] for entry in history]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4, 2.5e-4])


def test_training_stops_at_the_last_epoch_allowed():
    history = loop.fit(Scripted([0.5] * 9), four_rows(), four_rows(), CtrParams(epochs=2), CPU)
    assert [entry["epoch"] for entry in history] == [1, 2]


def test_each_epoch_is_logged_and_recorded(train, valid, item_tags, item_embedding, caplog):
    with caplog.at_level("INFO", logger="mmctr_kedro.training.loop"):
        _, history = run(CtrParams(**SMALL, epochs=1), train, valid, item_tags, item_embedding)
    assert set(history[0]) == {
        "epoch",
        "step",
        "train_loss",
        "valid_auc",
        "valid_logloss",
        "learning_rate",
        "seconds",
        "cpu_seconds",
        "rows_per_second",
    }
    assert "epoch 1/1: loss" in caplog.text
    assert "valid AUC" in caplog.text


def test_a_loss_that_is_not_finite_names_step_rows_and_cause(train, valid, item_tags, item_embedding):
    params = CtrParams(**SMALL, epochs=3, learning_rate=1e30)
    with pytest.raises(MmctrError, match=r"step \d.*rows \d+, .*Likely cause: .*learning_rate 1e\+30 is too high"):
        run(params, train, valid, item_tags, item_embedding)


def test_a_split_with_one_kind_of_label_is_refused(train, valid, item_tags, item_embedding):
    clicks_alone = Clicks(**{**vars(valid), "label": np.ones(len(valid), np.int8)})
    with pytest.raises(MmctrError, match="Split 'valid'"):
        run(CtrParams(**SMALL), train, clicks_alone, item_tags, item_embedding)


@pytest.mark.parametrize("name", MODEL_PARAMS)
def test_predictions_do_not_depend_on_how_rows_are_batched_or_ordered(
    name, small, train, valid, item_tags, item_embedding, monkeypatch
):
    params = CtrParams(**SMALL, epochs=2, learning_rate=0.01, model=small(name))
    model, _ = run(params, train, valid, item_tags, item_embedding)
    whole = loop.predict(model, valid, params)
    monkeypatch.setattr(loop, "PREDICTION_BATCH", 7)
    assert loop.predict(model, valid, params) == pytest.approx(whole, abs=1e-5)
    backwards = {name: array[::-1] for name, array in vars(valid).items() if not name.startswith("history_")}
    assert loop.predict(model, Clicks(**vars(valid) | backwards), params)[::-1] == pytest.approx(whole, abs=1e-5)
    assert whole.dtype == np.float32
    assert whole.std() > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_gpu_is_named():
    with pytest.raises(MmctrError, match="cuda"):
        pick_device("cuda")


# --- settings of the loop ------------------------------------------------------------------------------------


def fitted(model, train, valid, **settings):
    """The history of a training of this model, by default of three epochs of four steps."""
    params = CtrParams(**{**SMALL, "epochs": 3, "patience": 99, "embedding_regularizer": 0.0, **settings})
    with reproducible(params) as device:
        return loop.fit(model, train, valid, params, device)


def test_evaluations_come_every_n_steps_whatever_the_epoch_and_after_the_last_one(tiny, train, valid):
    history = fitted(tiny(), train, valid, evaluate_every=5)
    assert [(entry["epoch"], entry["step"]) for entry in history] == [(2, 5), (3, 10), (3, 12)]
    assert [entry["step"] for entry in fitted(tiny(), train, valid)] == [4, 8, 12]


def test_each_evaluation_has_the_mean_loss_of_the_steps_since_the_last_one(tiny, train, valid):
    each = [entry["train_loss"] for entry in fitted(tiny(), train, valid, evaluate_every=1, schedule="constant")]
    some = [entry["train_loss"] for entry in fitted(tiny(), train, valid, evaluate_every=5, schedule="constant")]
    assert some == pytest.approx([np.mean(each[:5]), np.mean(each[5:10]), np.mean(each[10:])])


def test_patience_and_plateau_count_evaluations(monkeypatch):
    monkeypatch.setattr(loop, "auc", lambda label, pctr: 0.5)
    history = loop.fit(
        Scripted([0.5] * 9),
        four_rows(),
        four_rows(),
        CtrParams(batch_size=2, evaluate_every=1, patience=3, **ORGANISERS),
        CPU,
    )
    assert [(entry["epoch"], entry["step"]) for entry in history] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert [entry["learning_rate"] for entry in history] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])


def test_the_cosine_reaches_over_all_epochs_and_warm_up_over_the_first_steps(tiny, train, valid):
    history = fitted(tiny(), train, valid, evaluate_every=1, schedule="cosine", warmup_steps=2, learning_rate=1.0)
    cosine = [(1 + math.cos(math.pi * step / 12)) / 2 for step in range(12)]
    assert [entry["learning_rate"] for entry in history] == pytest.approx([cosine[0] / 2, *cosine[1:]])


def test_a_batch_computed_in_parts_trains_nearly_as_the_whole(tiny, train, valid):
    whole, parts = tiny(), tiny()
    fitted(whole, train, valid)
    fitted(parts, train, valid, accumulate=3)
    for name, value in parts.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=0, atol=1e-5)


def test_only_the_newest_clicks_are_trained_on_and_predicted_from(tiny, clicks):
    """Histories cut beforehand give the same training as the setting."""
    cut = {}
    for name, split in (("train", clicks(64, seed=1)), ("valid", clicks(40, seed=2))):
        newest = [
            split.history_items[max(start, stop - 2) : stop]
            for start, stop in zip(split.history_offsets, split.history_offsets[1:], strict=False)
        ]
        offsets = np.concatenate([[0], np.cumsum([len(items) for items in newest])])
        cut[name] = Clicks(**{**vars(split), "history_items": np.concatenate(newest), "history_offsets": offsets})
    by_setting, by_hand, longer = tiny(), tiny(), tiny()
    measured = fitted(by_setting, clicks(64, seed=1), clicks(40, seed=2), max_history=2)[-1]["valid_logloss"]
    assert measured == fitted(by_hand, **cut)[-1]["valid_logloss"]
    assert measured != fitted(longer, clicks(64, seed=1), clicks(40, seed=2))[-1]["valid_logloss"]
    assert torch.equal(by_setting.item.weight, by_hand.item.weight)


def test_the_pairwise_term_is_part_of_the_loss(tiny, train, valid):
    losses = [fitted(tiny(), train, valid, epochs=1, pairwise_weight=w)[0]["train_loss"] for w in (0.0, 0.5)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_narrow_precision_learns_what_fp32_learns(precision, tiny, clicks):
    splits, best = (clicks(800, seed=4), clicks(400, seed=5)), {}
    for chosen in ("fp32", precision):
        history = fitted(tiny(scale=0.1), *splits, epochs=5, learning_rate=0.02, precision=chosen)
        best[chosen] = max(entry["valid_auc"] for entry in history)
    assert best["fp32"] > 0.8
    assert best[precision] == pytest.approx(best["fp32"], abs=0.01)


@pytest.mark.parametrize(
    ("settings", "cause"), [({}, "logits or gradients overflowed"), ({"precision": "fp16"}, "65,504")]
)
def test_logits_that_overflow_are_named_with_how_many_rows_the_batch_has(tiny, train, valid, settings, cause):
    with pytest.raises(MmctrError, match=rf"step 1, rows .*\(16 in all\).*{cause}"):
        fitted(tiny(scale=1e6 if settings else 5e37), train, valid, accumulate=2, **settings)


def test_a_long_epoch_is_logged_now_and_then_with_rate_and_time_left(tiny, train, valid, caplog, monkeypatch):
    monkeypatch.setattr(loop, "LOG_SECONDS", 0.0)
    with caplog.at_level(logging.INFO, logger="mmctr_kedro.common.progress"):
        fitted(tiny(), train, valid)
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("progress")]
    assert lines[0].startswith("rows of ctr epoch 1: 16 of 64, ")
    assert " a second, about " in lines[0]


def test_a_terminal_has_a_bar_with_rate_and_time_left(tiny, train, valid, monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("FORCE_COLOR", "1")
    fitted(tiny(), train, valid, evaluate_every=3)
    shown = capsys.readouterr().err
    assert "rows of ctr epoch 3" in shown
    assert "a second, 0 s left" in shown


def test_denormal_numbers_count_as_zero_in_a_training_and_are_numbers_again_after_it():
    tiny = torch.full((64,), 1e-39)
    with reproducible(CtrParams(threads=1)):
        assert not (tiny * 1.0).any()
    assert (tiny * 1.0).all()


def test_a_network_of_ones_own_is_trained_as_a_registered_one_is(tiny, train, valid):
    network, params = tiny(), CtrParams(**SMALL, epochs=2)
    pctr, history = train_network(network, train, valid, params)
    with reproducible(params) as device:
        again = loop.fit(other := tiny(), train, valid, params, device)
    assert [entry["valid_auc"] for entry in history] == [entry["valid_auc"] for entry in again]
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())
    assert not network.training
    with torch.no_grad():
        seen = network(make_batch(valid, np.arange(len(valid)))).sigmoid()
    np.testing.assert_allclose(pctr, seen, atol=1e-6)
