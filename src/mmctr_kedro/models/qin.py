"""Quadratic Interest Network, after Li et al. 2025 (arXiv:2504.17699), the challenge's 2nd place on Task 2.

Same function as the published code (salmon1802/QIN, ``QIN_variety_v9``), less work. A history item's score is

    relu(Wq t . Wk i / sqrt(A)) = relu((Wk' Wq t) . i / sqrt(A)),

and the pooled values are Wo Wv (sum of score * i), so that no linear map touches the items: all four are applied
once per row, and a position costs one dot product and one sum. Without dropout, the rows of a quadratic layer
are one matrix. The published code drops the layer's linear output too, which the paper does not say; its log
counts 31,244,293 parameters, which leaves no bias for Wo. B rows, P positions, U items, D item width, A = 2 D
attention width, R rows of a quadratic layer, X its width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kedro.data.clicks import Batch
from mmctr_kedro.models.layers import (
    BatchNorm,
    Dropout,
    FeatureModel,
    of_recurring_size,
    row_of_position,
    sum_by_row,
    xavier_linear,
)
from mmctr_kedro.models.settings import QinParams


class Qin(FeatureModel):
    """Logits ``[B]`` of a ``Batch``: levels, target and pooled history through quadratic layers."""

    def __init__(self, params: QinParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__(item_tags, item_embedding, tags, params.width)
        self.params = params
        self.attention = ReluAttention(self.items.width)
        width = 2 * params.width + 2 * self.items.width
        self.quadratic = nn.Sequential(
            *(QuadraticLayer(width, params.rows, params.net_dropout) for _ in range(params.layers))
        )
        self.last = xavier_linear(width, 1)

    def forward(self, batch: Batch) -> Tensor:
        items_UD = self.items(of_recurring_size(batch.items))
        target_BD = items_UD.index_select(0, batch.target)
        pooled_BD = self.attention(target_BD, items_UD, batch.history, batch.offsets)
        x_BX = torch.cat([self.levels(batch), target_BD, pooled_BD], dim=-1)
        return self.last(self.quadratic(x_BX)).squeeze(-1)


class ReluAttention(nn.Module):
    """Pool a click history by ReLU of scaled dot products, and add the target.

    Maps target ``[B, D]``, items ``[U, D]``, history ``[P]`` (index into items) and offsets ``[B + 1]`` to
    ``[B, D]``. Scores stay unnormalised; an empty history leaves the target alone.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = xavier_linear(width, 2 * width, bias=False)
        self.key = xavier_linear(width, 2 * width, bias=False)
        self.value = xavier_linear(width, 2 * width, bias=False)
        self.output = xavier_linear(2 * width, width, bias=False)

    def forward(self, target_BD: Tensor, items_UD: Tensor, history_P: Tensor, offsets: Tensor) -> Tensor:
        query_BD = F.linear(self.query(target_BD), self.key.weight.t()) / math.sqrt(self.key.out_features)
        row_P = row_of_position(offsets, history_P.shape[0])
        query_PD, key_PD = query_BD.index_select(0, row_P), items_UD.index_select(0, history_P)
        scores_P = (query_PD * key_PD).sum(-1).relu()
        pooled_BD = sum_by_row(items_UD, history_P, offsets, scores_P.to(items_UD.dtype))
        return self.output(self.value(pooled_BD)) + target_BD


class QuadraticLayer(nn.Module):
    """``x + dropout(prelu(norm(x * sum over rows of dropout(W_r x + b_r))))``, ``[B, X]`` to the same."""

    def __init__(self, width: int, rows: int, dropout: float) -> None:
        super().__init__()
        self.rows = rows
        self.linear = xavier_linear(width, rows * width)
        self.dropout = Dropout(dropout)
        self.norm = BatchNorm(width)
        self.activation = nn.PReLU()

    def forward(self, x_BX: Tensor) -> Tensor:
        if self.training and self.dropout.rate:
            sum_BX = self.dropout(self.linear(x_BX)).view(len(x_BX), self.rows, -1).sum(1)
        else:
            width = x_BX.shape[1]
            weight = self.linear.weight.view(self.rows, width, width).sum(0)
            sum_BX = F.linear(x_BX, weight, self.linear.bias.view(self.rows, -1).sum(0))
        return x_BX + self.dropout(self.activation(self.norm(x_BX * sum_BX)))
