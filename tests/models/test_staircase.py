"""Layers over rows that end in zeros, against the same layers over all columns."""

import pytest
import torch
from torch.nn import functional as F

from mmctr_kedro.models.staircase import Block, staircase_blocks, staircase_linear

ALWAYS, STEP = 2, 3
USERS = [5, 2, 0]  # of 8 rows: 5 use the next three columns, 2 three more, none the last three
WIDTH = ALWAYS + STEP * len(USERS)


@pytest.fixture
def x(double):
    torch.manual_seed(0)
    x = torch.randn(8, WIDTH)
    for step, using in enumerate(USERS):
        x[using:, ALWAYS + step * STEP : ALWAYS + (step + 1) * STEP] = 0
    return x.requires_grad_()


def gradients(y, *inputs):
    return torch.autograd.grad((y * torch.arange(y.numel()).view_as(y)).sum(), inputs, retain_graph=True)


def test_a_staircase_has_a_block_per_step_that_rows_use():
    assert staircase_blocks(8, ALWAYS, USERS, STEP) == [Block(8, 0, 2), Block(5, 2, 5), Block(2, 5, 8)]


def test_steps_that_nearly_all_rows_use_join_the_block_before():
    assert staircase_blocks(100, 2, [100, 97, 30, 29], 3) == [Block(100, 0, 8), Block(30, 8, 14)]


def test_a_staircase_layer_gives_the_numbers_of_the_whole_one(x):
    weight, bias = torch.randn(4, WIDTH, requires_grad=True), torch.randn(4, requires_grad=True)
    found = staircase_linear(x, weight, bias, staircase_blocks(8, ALWAYS, USERS, STEP))
    whole = F.linear(x, weight, bias)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-12)
    used = x != 0  # elsewhere x is a constant, and its gradient means nothing
    for ours, theirs in zip(gradients(found, weight, bias), gradients(whole, weight, bias), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients(found, x)[0][used], gradients(whole, x)[0][used], rtol=0, atol=1e-12)


def test_a_staircase_square_layer_gives_the_numbers_of_the_whole_one_where_rows_reach(x):
    weight, bias = torch.randn(WIDTH, WIDTH, requires_grad=True), torch.randn(WIDTH, requires_grad=True)
    used = x != 0
    found = staircase_linear(x, weight, bias, staircase_blocks(8, ALWAYS, USERS, STEP), square=True)
    whole = F.linear(x, weight, bias)
    torch.testing.assert_close(found[used], whole[used], rtol=0, atol=1e-12)
    for ours, theirs in zip(
        gradients(found * used, weight, bias, x), gradients(whole * used, weight, bias, x), strict=True
    ):
        where = used if ours.shape == used.shape else torch.ones_like(ours, dtype=torch.bool)
        torch.testing.assert_close(ours[where], theirs[where], rtol=0, atol=1e-12)


def test_under_autocast_the_arithmetic_is_bf16_and_the_gradients_are_not(x):
    x = x.detach().float()
    weight, bias = (torch.randn(*shape, dtype=torch.float32, requires_grad=True) for shape in ((4, WIDTH), (4,)))
    with torch.autocast("cpu", torch.bfloat16):
        y = staircase_linear(x, weight, bias, staircase_blocks(8, ALWAYS, USERS, STEP))
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert weight.grad.dtype == bias.grad.dtype == torch.float32
