"""The pairwise term against all pairs written out."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmctr_kedro.training import losses
from mmctr_kedro.training.losses import ranking_loss


def all_pairs(logits, label):
    """Mean of softplus(other - click), by the whole matrix."""
    clicks, others = logits[label > 0.5], logits[label < 0.5]
    return F.softplus(others.unsqueeze(0) - clicks.unsqueeze(1)).mean()


@pytest.fixture
def drawn():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(31, generator=generator, dtype=torch.float64, requires_grad=True)
    return logits, (torch.arange(31) % 4 == 0).double()


def test_two_clicks_and_two_others_by_hand():
    logits, label = torch.tensor([2.0, 0.0, 1.0, 0.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    softplus = [math.log1p(math.exp(other - click)) for click in (2, 0) for other in (1, 0)]
    assert ranking_loss(logits, label, 1.0).item() == pytest.approx(np.mean(softplus), rel=1e-6)


@pytest.mark.parametrize("at_a_time", [1, 70, 2**20])
def test_value_and_gradient_are_those_of_all_pairs_however_few_are_worked_on_at_a_time(drawn, at_a_time, monkeypatch):
    monkeypatch.setattr(losses, "PAIRS_AT_A_TIME", at_a_time)
    logits, label = drawn
    expected = 0.7 * F.binary_cross_entropy_with_logits(logits, label) + 0.3 * all_pairs(logits, label)
    found = ranking_loss(logits, label, 0.3)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(2 * loss, logits)[0] for loss in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)


def test_without_weight_the_loss_is_binary_cross_entropy(drawn):
    logits, label = drawn
    assert ranking_loss(logits, label, 0.0) == F.binary_cross_entropy_with_logits(logits, label)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_rows_without_any_pair_have_no_pairwise_loss(label):
    logits = torch.tensor([0.5, -1.0], requires_grad=True)
    labels = torch.full((2,), label)
    loss = ranking_loss(logits, labels, 0.4)
    assert loss.item() == pytest.approx(0.6 * F.binary_cross_entropy_with_logits(logits, labels).item())
    loss.backward()
    assert torch.isfinite(logits.grad).all()


def test_narrow_logits_are_compared_in_the_labels_precision():
    logits = torch.tensor([2.0, 0.0, 1.0, 0.0], dtype=torch.bfloat16)
    assert ranking_loss(logits, torch.tensor([1.0, 1.0, 0.0, 0.0]), 0.5).dtype == torch.float32
