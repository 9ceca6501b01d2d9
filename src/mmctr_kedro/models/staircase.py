"""Linear layers for rows that end in zeros, sorted so that the zeros form a staircase.

With rows sorted by how many leading columns they use, the nonzero part of ``x`` is a few blocks: block *i* is
columns ``start:stop`` of the first ``rows`` rows, and ``rows`` only falls from block to block. Each block of
weights is then multiplied once, by the rows that need it, and zeros are never multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from mmctr_kedro.models.layers import compute_dtype

MERGE = 0.8  # a block takes in the next columns where at least this share of its rows uses them


@dataclass(frozen=True)
class Block:
    """Columns ``start:stop``, used by the first ``rows`` rows."""

    rows: int
    start: int
    stop: int


def staircase_blocks(rows: int, always: int, users: list[int], step: int) -> list[Block]:
    """Blocks of ``rows`` rows that all use ``always`` columns, then ``step`` more per entry of ``users``.

    Args:
        rows: Number of rows.
        always: Leading columns that every row uses.
        users: How many rows use each further step of columns; falls from entry to entry.
        step: Columns per entry of ``users``.
    """
    blocks = [Block(rows, 0, always)]
    for using in users:
        last = blocks[-1]
        if using == 0:
            break
        if using >= MERGE * last.rows:
            blocks[-1] = Block(last.rows, last.start, last.stop + step)
        else:
            blocks.append(Block(using, last.stop, last.stop + step))
    return blocks


def staircase_linear(x: Tensor, weight: Tensor, bias: Tensor, blocks: list[Block], square: bool = False) -> Tensor:
    """``x @ weight.T + bias``: ``[B, X]`` to ``[B, Y]``, where ``x`` is zero outside its blocks.

    ``square``: of a square weight, and right inside the blocks alone, zero outside.
    """
    if torch.compiler.is_exporting():  # exporters follow no functions of our own
        return F.linear(x, weight, bias)
    dtype = compute_dtype(x)  # autocast does not look into functions of our own
    return _StaircaseLinear.apply(x.to(dtype), weight.to(dtype), bias.to(dtype), blocks, square)


class _StaircaseLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, blocks: list[Block], square: bool) -> Tensor:
        y = x.new_zeros(len(x), len(weight)) if square else bias.repeat(len(x), 1)
        for block in blocks:
            rows, new, upto = slice(block.rows), slice(block.start, block.stop), slice(block.stop)
            if square:
                y[rows, new].copy_(torch.addmm(bias[new], x[rows, upto], weight[new, upto].t()))
                y[rows, : block.start].addmm_(x[rows, new], weight[: block.start, new].t())
            else:
                y[rows].addmm_(x[rows, new], weight[:, new].t())
        ctx.save_for_backward(x, weight)
        ctx.blocks, ctx.square = blocks, square
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (d_y,) = gradients
        x, weight = ctx.saved_tensors
        d_x, d_weight, d_bias = torch.zeros_like(x), torch.empty_like(weight), d_y.sum(0)
        end = ctx.blocks[-1].stop
        d_weight[:, end:].zero_()
        if ctx.square:
            d_weight[end:, :end].zero_()
        for block in ctx.blocks:  # each block of weights is met once: what it gets is written, not added
            rows, new, upto = slice(block.rows), slice(block.start, block.stop), slice(block.stop)
            if ctx.square:
                torch.mm(d_y[rows, new].t(), x[rows, upto], out=d_weight[new, upto])
                torch.mm(d_y[rows, : block.start].t(), x[rows, new], out=d_weight[: block.start, new])
                d_x[rows, upto].addmm_(d_y[rows, new], weight[new, upto])
                d_x[rows, new].addmm_(d_y[rows, : block.start], weight[: block.start, new])
            else:
                torch.mm(d_y[rows].t(), x[rows, new], out=d_weight[:, new])
                torch.mm(d_y[rows], weight[:, new], out=d_x[rows, new])
        return d_x, d_weight, d_bias, None, None
