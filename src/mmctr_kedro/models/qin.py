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
from typing import cast

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

    def item_parts(self, every: Batch) -> tuple[Tensor, Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
        """Vectors ``[N, D]``, queries ``[N, D]``, levels; and of each quadratic layer its rows in one matrix."""
        items_ND = self.items(every.items)
        layers = [layer.rows_in_one() for layer in cast(list[QuadraticLayer], list(self.quadratic))]
        return items_ND, self.attention.query_of(items_ND), self.levels(every), layers

    def after(
        self,
        clicks_P: Tensor,
        candidates_C: Tensor,
        parts: tuple[Tensor, Tensor, Tensor, list[tuple[Tensor, Tensor]]],
    ) -> Tensor:
        items_ND, query_ND, levels_N, in_one = parts
        target_CD, key_PD = items_ND[candidates_C], items_ND[clicks_P]
        scores_CP = (query_ND[candidates_C] @ key_PD.t()).relu()
        pooled_CD = scores_CP @ self.attention.output(self.attention.value(key_PD)) + target_CD
        x_CX = torch.cat([levels_N[candidates_C], target_CD, pooled_CD], dim=-1)
        for layer, (weight, bias) in zip(self.quadratic, in_one, strict=True):
            x_CX = cast(QuadraticLayer, layer).close(x_CX, F.linear(x_CX, weight, bias))
        return self.last(x_CX).squeeze(-1)


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
        query_BD = self.query_of(target_BD)
        row_P = row_of_position(offsets, history_P.shape[0])
        query_PD, key_PD = query_BD.index_select(0, row_P), items_UD.index_select(0, history_P)
        scores_P = (query_PD * key_PD).sum(-1).relu()
        pooled_BD = sum_by_row(items_UD, history_P, offsets, scores_P.to(items_UD.dtype))
        return self.output(self.value(pooled_BD)) + target_BD

    def query_of(self, target_BD: Tensor) -> Tensor:
        """What an item's vector times it is the item's score, before ReLU."""
        return F.linear(self.query(target_BD), self.key.weight.t()) / math.sqrt(self.key.out_features)


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
            sum_BX = F.linear(x_BX, *self.rows_in_one())
        return self.close(x_BX, sum_BX)

    def rows_in_one(self) -> tuple[Tensor, Tensor]:
        """Weight ``[X, X]`` and bias of the sum over rows, where no dropout comes between."""
        width = self.norm.num_features
        return self.linear.weight.view(self.rows, width, width).sum(0), self.linear.bias.view(self.rows, width).sum(0)

    def close(self, x_BX: Tensor, sum_BX: Tensor) -> Tensor:
        return x_BX + self.dropout(self.activation(self.norm(x_BX * sum_BX)))
