"""What a training makes small: binary cross-entropy, and a pairwise term beside it. B rows, C clicks, O others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

PAIRS_AT_A_TIME = 2**20  # 4 MB in fp32: all pairs of 8,192 rows at once would take 50 MB, several times over


def ranking_loss(logits_B: Tensor, label_B: Tensor, pairwise_weight: float) -> Tensor:
    """``(1 - w) * BCE + w * mean over all (click, other) pairs of softplus(other - click)``.

    The loss is worked out in the precision of the labels, whatever that of the logits.
    """
    logits_B = logits_B.to(label_B.dtype)
    cross_entropy = F.binary_cross_entropy_with_logits(logits_B, label_B)
    if pairwise_weight == 0:
        return cross_entropy
    clicked = label_B > 0.5
    pairwise = _Pairwise.apply(logits_B[clicked], logits_B[~clicked])
    return (1 - pairwise_weight) * cross_entropy + pairwise_weight * pairwise


class _Pairwise(torch.autograd.Function):
    """Mean of ``softplus(other - click)`` over all pairs; 0 without any pair.

    Value and slopes are added up a few clicks at a time, so no ``[C, O]`` matrix is ever kept.
    """

    @staticmethod
    def forward(ctx: Any, clicks_C: Tensor, others_O: Tensor) -> Tensor:
        pairs = max(1, len(clicks_C) * len(others_O))
        total, slope_O, slopes = clicks_C.new_zeros(()), torch.zeros_like(others_O), []
        for some in clicks_C.split(max(1, PAIRS_AT_A_TIME // max(1, len(others_O)))):
            behind = others_O - some.unsqueeze(1)
            total += F.softplus(behind).sum()
            slope = behind.sigmoid_()
            slope_O += slope.sum(dim=0)
            slopes.append(-slope.sum(dim=1))
        ctx.save_for_backward(torch.cat(slopes) / pairs, slope_O / pairs)
        return total / pairs

    @staticmethod
    def backward(ctx: Any, d_mean: Tensor) -> tuple[Tensor, Tensor]:
        slope_C, slope_O = ctx.saved_tensors
        return d_mean * slope_C, d_mean * slope_O
