"""One step, setting by setting, on a model small enough to say what must happen."""

import math

import numpy as np
import pytest
import torch

from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.training import steps as steps_file
from mmctr_kedro.training.batches import make_batch
from mmctr_kedro.training.steps import Steps

PLAIN = {"embedding_regularizer": 0.0, "learning_rate": 0.01}


@pytest.fixture
def double():
    """float64 for the length of a test."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def batch(clicks):
    """The batch of some rows of a split."""
    split = clicks(24, seed=1)
    return lambda rows: make_batch(split, np.asarray(rows))


def weights(model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def trained(model, batches, **settings):
    """The model after a step on each batch."""
    steps = Steps(model, CtrParams(**{**PLAIN, **settings}), steps_in_all=len(batches))
    for parts in batches:
        steps.take(parts if isinstance(parts, list) else [parts])
    return model


# --- accumulate ----------------------------------------------------------------------------------------------


def test_a_batch_in_parts_moves_the_weights_as_the_whole_does(double, tiny, batch):
    """Parts of 5, 5 and 2 rows, two steps; regulariser and clipping act on the sum."""
    settings = {"embedding_regularizer": 0.1, "max_gradient_norm": 0.3}
    whole = trained(tiny(), [batch(range(12)), batch(range(12, 24))], **settings)
    parts = [
        [batch(range(at, at + 5)), batch(range(at + 5, at + 10)), batch(range(at + 10, at + 12))] for at in (0, 12)
    ]
    for name, value in trained(tiny(), parts, **settings).state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=0, atol=1e-7)  # labels are fp32


def test_the_loss_of_a_batch_in_parts_is_that_of_the_whole(tiny, batch):
    params = CtrParams(embedding_regularizer=0.1)
    whole = Steps(tiny(), params).take([batch(range(12))])
    assert Steps(tiny(), params).take([batch(range(5)), batch(range(5, 12))]) == pytest.approx(whole, rel=1e-6)


# --- lazy id tables ------------------------------------------------------------------------------------------


def test_lazy_moves_the_rows_of_the_batch_alone_and_as_dense_does(tiny, batch):
    seen = batch(range(4))
    before = tiny(scale=0.1).item.weight
    dense, lazy = (
        trained(tiny(scale=0.1), [seen], embedding_update=update).item.weight for update in ("dense", "lazy")
    )
    torch.testing.assert_close(lazy, dense, rtol=0, atol=1e-4)  # SparseAdam weighs its epsilon otherwise
    moved = (lazy != before).any(dim=1).nonzero().squeeze(1)
    assert moved.tolist() == seen.items.tolist()


def test_lazy_rows_of_an_earlier_batch_lie_still_where_dense_ones_drift(tiny, batch):
    first, second = batch(range(4)), batch(range(4, 6))
    gone = [item for item in first.items.tolist() if item not in second.items.tolist()]
    assert gone
    for update, drifts in (("lazy", False), ("dense", True)):
        once, twice = (
            trained(tiny(), batches, embedding_update=update).item.weight[gone]
            for batches in ([first], [first, second])
        )
        assert torch.equal(once, twice) != drifts


def test_lazy_l2_is_of_the_rows_of_the_batch(double, tiny, batch):
    """Value and gradient, against autograd on the formula."""
    model, seen = tiny(), batch(range(4))
    params = CtrParams(embedding_regularizer=0.3, embedding_update="lazy", max_gradient_norm=1e9)
    loss = steps_file.ranking_loss(model(seen), seen.label, 0.0)
    rows, levels = model.item.weight[seen.items], model.likes_level.weight[seen.likes_level.unique()]
    formula = 0.3 / 2 * (rows.square().sum() + levels.square().sum())
    (expected,) = torch.autograd.grad(loss + formula, model.item.weight)
    found = Steps(model, params).take([seen])
    assert found == pytest.approx((loss + formula).item(), rel=1e-12)
    torch.testing.assert_close(model.item.weight.grad.to_dense(), expected, rtol=0, atol=1e-12)


def test_lazy_tables_follow_their_rate_and_are_clipped_with_the_rest(tiny, batch):
    before, model = weights(tiny()), tiny()
    settings = {"embedding_update": "lazy", "embedding_learning_rate": 0.5, "max_gradient_norm": 1e-2}
    trained(model, [batch(range(4))], **settings)
    squares = sum(parameter.grad.to_dense().square().sum() for parameter in model.parameters())
    assert math.sqrt(squares) == pytest.approx(1e-2, rel=1e-3)
    moved = (model.item.weight - before["item.weight"]).abs()
    assert moved.max().item() == pytest.approx(0.5, rel=1e-3)  # Adam's first step is its rate


def test_a_table_that_a_lazy_step_never_looks_at_is_left_alone(tiny, batch):
    model = tiny()
    model.unused = torch.nn.Embedding(3, 2)
    model.embedding_parameters = lambda: [model.item.weight, model.unused.weight]
    before = model.unused.weight.clone()
    trained(model, [batch(range(4))], embedding_update="lazy", embedding_regularizer=0.1)
    assert torch.equal(model.unused.weight, before)


# --- optimizers ----------------------------------------------------------------------------------------------


def test_embedding_parameters_have_their_own_rate(tiny, batch):
    before, model = weights(tiny()), tiny()
    trained(model, [batch(range(24))], embedding_learning_rate=0.5)
    for name, rate in (("item.weight", 0.5), ("likes_level.weight", 0.5), ("out.weight", 0.01), ("out.bias", 0.01)):
        assert (model.state_dict()[name] - before[name]).abs().max().item() == pytest.approx(rate, rel=1e-3)


def test_weight_decay_shrinks_the_network_and_no_embedding(tiny, batch):
    before = weights(tiny())
    adam = trained(tiny(), [batch(range(8))])
    decayed = trained(tiny(), [batch(range(8))], optimizer="adamw", weight_decay=0.5)
    for name, value in decayed.state_dict().items():
        shrinkage = 0.01 * 0.5 * before[name] if name.startswith("out.") else torch.zeros_like(value)
        torch.testing.assert_close(adam.state_dict()[name] - value, shrinkage, rtol=0, atol=1e-6)


@pytest.mark.parametrize("limit", [0.01, 1e9])
def test_gradients_are_scaled_together_to_the_largest_norm_allowed(tiny, batch, limit):
    model = tiny()
    free = math.sqrt(sum(p.grad.square().sum() for p in trained(tiny(), [batch(range(8))]).parameters()))
    trained(model, [batch(range(8))], max_gradient_norm=limit)
    norm = math.sqrt(sum(parameter.grad.square().sum() for parameter in model.parameters()))
    assert norm == pytest.approx(min(limit, free), rel=1e-3)


# --- rates ---------------------------------------------------------------------------------------------------


def rates(tiny, batch, steps: int, after=lambda steps: None, **settings) -> list[float]:
    runner = Steps(tiny(), CtrParams(**{**PLAIN, "learning_rate": 1.0, **settings}), steps_in_all=steps)
    found = []
    for _ in range(steps):
        runner.take([batch(range(4))])
        found.append(runner.rate)
        after(runner)
    return found


def test_the_rate_climbs_over_the_warm_up_steps(tiny, batch):
    found = rates(tiny, batch, 6, schedule="constant", warmup_steps=4)
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_the_cosine_falls_from_the_rate_to_next_to_nothing(tiny, batch):
    found = rates(tiny, batch, 4, schedule="cosine")
    assert found == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2])


@pytest.mark.parametrize(("schedule", "falls"), [("plateau", True), ("constant", False), ("cosine", False)])
def test_an_evaluation_without_gain_lowers_the_rate_of_schedule_plateau_alone(tiny, batch, schedule, falls):
    usual = rates(tiny, batch, 3, schedule=schedule)
    found = rates(tiny, batch, 3, lambda steps: steps.lower_rates(), schedule=schedule, rate_decay=0.5)
    assert found == pytest.approx([1, 0.5, 0.25] if falls else usual)


def test_a_plateau_lowers_both_rates_and_raises_none_below_its_floor(tiny, batch):
    steps = Steps(tiny(), CtrParams(learning_rate=1e-3, embedding_learning_rate=1e-7, rate_decay=0.1))
    steps.lower_rates()
    steps.take([batch(range(4))])
    (optimizer,) = steps._optimizers
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-4, 1e-7])


# --- precision and compilation -------------------------------------------------------------------------------


@pytest.mark.parametrize(("precision", "narrow"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_a_narrow_precision_computes_in_it_and_keeps_weights_and_loss_in_fp32(tiny, batch, precision, narrow):
    model, seen = tiny(), []
    model.out.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    exact = Steps(tiny(), CtrParams()).take([batch(range(8))])
    assert Steps(model, CtrParams(precision=precision)).take([batch(range(8))]) == pytest.approx(exact, rel=0.02)
    assert seen == [narrow]
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("update", ["dense", "lazy"])
def test_fp16_gradients_that_overflow_skip_the_step_and_lower_the_scale_until_they_fit(tiny, batch, update):
    model = tiny(scale=1e3)
    before = weights(model)
    steps = Steps(model, CtrParams(precision="fp16", embedding_update=update))
    scale = steps.state()["scaler"]["scale"]
    assert math.isfinite(steps.take([batch(range(2))]))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert steps.state()["scaler"]["scale"] == scale / 2
    for _ in range(20):
        steps.take([batch(range(2))])
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert not torch.equal(model.item.weight, before["item.weight"])


def test_a_loss_that_is_not_finite_leaves_the_weights_for_the_error_to_look_at(tiny, batch):
    model = tiny(scale=float("inf"))
    before = weights(model)
    assert not math.isfinite(Steps(model, CtrParams()).take([batch(range(4))]))
    assert torch.equal(model.item.weight, before["item.weight"])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_gradient_that_is_not_finite_leaves_the_weights_for_the_error_to_look_at(tiny, batch, precision):
    model = tiny()
    model.out.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = weights(model)
    assert not math.isfinite(Steps(model, CtrParams(precision=precision)).take([batch(range(8))]))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_lazy_updates_of_a_model_without_id_tables_are_said_to_do_nothing(tiny, caplog):
    model = tiny()
    model.item = torch.nn.EmbeddingBag(21, 4)
    model.likes_level = torch.nn.EmbeddingBag(11, 1)
    Steps(model, CtrParams(embedding_update="lazy"))
    assert "embedding_update: lazy has no effect" in caplog.text


def test_a_compiled_model_keeps_the_names_of_its_weights_and_learns_the_same(tiny, batch, monkeypatch):
    """With a backend that only traces: the real one takes half a minute."""
    asked, real = [], torch.compile

    def traced(model, **options):
        asked.append(options)
        return real(model, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", traced)
    plain, compiled = (trained(tiny(), [batch(range(8)), batch(range(9))], compile=on) for on in (False, True))
    assert asked == [{"dynamic": True}]
    assert list(compiled.state_dict()) == list(plain.state_dict())
    for name, value in compiled.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name])
