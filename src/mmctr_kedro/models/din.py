"""The challenge's fixed model: Deep Interest Network, after Zhou et al., KDD 2018 (arXiv:1706.06978).

As the organisers run it on FuxiCTR 2.3.7: attention MLP with ReLU and dropout 0.1, no softmax; DNN with batch
norm. Same function, less work: only real history positions are computed (P of them instead of B x 64), each
distinct item's vector and key part once per batch (U of them), and the first attention layer is split, since

    W [q, k, q - k, q * k] = (Wq + Wd) q + (Wk - Wd) k + Wp (q * k),

so that only the product part is computed per position. B rows, P positions, U items, D item width, H and G
the attention's hidden widths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kedro.data.clicks import Batch
from mmctr_kedro.models.layers import (
    FeatureModel,
    compute_dtype,
    keep_mask,
    mlp,
    of_recurring_size,
    row_of_position,
    sum_by_row,
    xavier_linear,
)
from mmctr_kedro.models.settings import DinParams

WIDTH = 64
ATTENTION_UNITS = (512, 256)
ATTENTION_DROPOUT = 0.1
DNN_UNITS = [1024, 512, 256]
CHUNK = 2048  # positions worked on at a time: 2048 x 512 float32 is 4 MB, which stays in the cache


class Din(FeatureModel):
    """Logits ``[B]`` of a ``Batch``: the target, its levels, and the history as the target sees it."""

    def __init__(self, params: DinParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__(item_tags, item_embedding, tags, WIDTH)
        self.attention = TargetAttention(self.items.width)
        self.dnn = mlp([2 * WIDTH + 2 * self.items.width, *DNN_UNITS], params.net_dropout)

    def forward(self, batch: Batch) -> Tensor:
        items_UD = self.items(of_recurring_size(batch.items))
        target_BD = items_UD.index_select(0, batch.target)
        pooled_BD = self.attention(target_BD, items_UD, batch.history, batch.offsets)
        return self.dnn(torch.cat([self.levels(batch), target_BD, pooled_BD], dim=-1)).squeeze(-1)

    def item_parts(self, every: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors ``[N, D]``, and what each item alone brings into the first layer of attention and of DNN."""
        items_ND, first = self.items(every.items), self._first()
        alone = F.linear(
            torch.cat([self.levels(every), items_ND], -1), first.weight[:, : -self.items.width], first.bias
        )
        return items_ND, self.attention.query_part(items_ND), alone

    def after(self, clicks_P: Tensor, candidates_C: Tensor, parts: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        items_ND, query_part_NH, alone_N = parts
        clicks_PD, rows = items_ND[clicks_P], torch.arange(len(candidates_C) + 1, device=clicks_P.device)
        pooled_CD = self.attention.pool(
            items_ND[candidates_C],
            clicks_PD,
            query_part_NH[candidates_C],
            torch.arange(len(clicks_P), device=rows.device).repeat(len(candidates_C)),
            rows * len(clicks_P),
        )
        hidden = alone_N[candidates_C] + F.linear(pooled_CD, self._first().weight[:, -self.items.width :])
        return self.dnn[1:](hidden).squeeze(-1)

    def _first(self) -> nn.Linear:
        return cast(nn.Linear, self.dnn[0])


class TargetAttention(nn.Module):
    """Pool a click history by how well each item matches the target.

    Maps target ``[B, D]``, items ``[U, D]``, history ``[P]`` (index into items) and offsets ``[B + 1]`` to
    ``[B, D]``. Scores stay unnormalised, so their sum carries the strength of interest; an empty history
    pools to zeros. Under autocast everything here is in its type, sums over many positions excepted.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = xavier_linear(4 * width, ATTENTION_UNITS[0])
        self.second = xavier_linear(ATTENTION_UNITS[0], ATTENTION_UNITS[1])
        self.last = xavier_linear(ATTENTION_UNITS[1], 1)

    def forward(self, target_BD: Tensor, items_UD: Tensor, history_P: Tensor, offsets: Tensor) -> Tensor:
        return self.pool(target_BD, items_UD, self.query_part(target_BD), history_P, offsets)

    def query_part(self, target_BD: Tensor) -> Tensor:
        """What targets bring into the first layer, whatever the history: ``[B, H]``."""
        query, _, difference, _ = self.first.weight.chunk(4, dim=1)
        return F.linear(target_BD, query + difference, self.first.bias)

    def pool(
        self, target_BD: Tensor, items_UD: Tensor, query_part_BH: Tensor, history_P: Tensor, offsets: Tensor
    ) -> Tensor:
        """The rest of it."""
        _, key, difference, product = self.first.weight.chunk(4, dim=1)
        dropout = ATTENTION_DROPOUT if self.training else 0.0
        kept = 1 - dropout  # dropout divides what it keeps by this: here the weights that read it are divided
        tensors = (
            target_BD,
            items_UD,
            query_part_BH,
            F.linear(items_UD, key - difference),
            product,
            self.second.weight / kept,
            self.second.bias,
            self.last.weight.squeeze(0) / kept,
            self.last.bias,
        )
        cast = [tensor.to(compute_dtype(items_UD)) for tensor in tensors]
        if torch.compiler.is_exporting():
            return _pool_plainly(history_P, offsets, *cast)
        return _pool(*cast, history_P, offsets, dropout, torch.is_grad_enabled())


def _pool_plainly(
    history_P: Tensor,
    offsets: Tensor,
    target_BD: Tensor,
    items_UD: Tensor,
    query_part_BH: Tensor,
    key_part_UH: Tensor,
    product_HD: Tensor,
    second_GH: Tensor,
    second_bias_G: Tensor,
    last_G: Tensor,
    last_bias: Tensor,
) -> Tensor:
    """The forward of ``_Pool`` in one piece and without dropout, as exporters can follow it."""
    row_P = row_of_position(offsets, history_P.shape[0])
    pairs_PD = target_BD.index_select(0, row_P) * items_UD.index_select(0, history_P)
    hidden_PH = query_part_BH.index_select(0, row_P) + key_part_UH.index_select(0, history_P)
    hidden_PG = F.linear((hidden_PH + F.linear(pairs_PD, product_HD)).relu(), second_GH, second_bias_G).relu()
    return sum_by_row(items_UD, history_P, offsets, hidden_PG @ last_G + last_bias)


@torch.compiler.disable  # its chunks would be unrolled and compiled, for minutes, for every number of positions
def _pool(*given: Any) -> Tensor:
    return _Pool.apply(*given)


class _Pool(torch.autograd.Function):
    """Score every position and sum each row's history by its scores, ``[B, D]``: where the time goes.

    Written out, forward and backward, to work through the positions in chunks that stay in the cache, and to
    sum gradients over positions as bags of an index, several times faster than ``index_add``. A hidden unit
    is positive exactly where ReLU let it through and dropout kept it, so the hidden layers are all that the
    backward pass needs to remember; it writes their gradients into the same memory.
    """

    @staticmethod
    def forward(
        ctx: Any,
        target_BD: Tensor,
        items_UD: Tensor,
        query_part_BH: Tensor,
        key_part_UH: Tensor,
        product_HD: Tensor,
        second_GH: Tensor,
        second_bias_G: Tensor,
        last_G: Tensor,
        last_bias: Tensor,
        history_P: Tensor,
        offsets: Tensor,
        dropout: float,
        remember: bool,
    ) -> Tensor:
        positions = len(history_P)
        row_P = row_of_position(offsets, positions)
        kept = positions if remember else min(positions, _chunk_size(items_UD))
        hidden_PH = items_UD.new_empty(kept, product_HD.shape[0])
        hidden_PG = items_UD.new_empty(kept, second_GH.shape[0])
        scores_P = items_UD.new_empty(positions)
        for at in _chunks(positions, items_UD):
            row, item = row_P[at], history_P[at]
            part = at if remember else slice(0, len(row))
            hidden_H, hidden_G = hidden_PH[part], hidden_PG[part]
            torch.index_select(query_part_BH, 0, row, out=hidden_H)
            hidden_H.add_(key_part_UH.index_select(0, item))
            pairs = target_BD.index_select(0, row).mul_(items_UD.index_select(0, item))
            _relu_dropout_(hidden_H.addmm_(pairs, product_HD.t()), dropout)
            torch.addmm(second_bias_G, hidden_H, second_GH.t(), out=hidden_G)
            _relu_dropout_(hidden_G, dropout)
            torch.addmv(last_bias.expand(len(row)), hidden_G, last_G, out=scores_P[at])
        weights = (product_HD, second_GH, last_G)
        of_positions = (history_P, row_P, scores_P, hidden_PH, hidden_PG)
        ctx.save_for_backward(target_BD, items_UD, offsets, *weights, *of_positions)
        return sum_by_row(items_UD, history_P, offsets, scores_P)

    @staticmethod
    def backward(ctx: Any, d_pooled_BD: Tensor) -> tuple[Tensor | None, ...]:
        target_BD, items_UD, offsets, product_HD, second_GH, last_G, *of_positions = ctx.saved_tensors
        history_P, row_P, scores_P, hidden_PH, hidden_PG = of_positions
        d_scores_P, d_key_PD = torch.empty_like(scores_P), items_UD.new_empty(len(row_P), items_UD.shape[1])
        d_target_PD = torch.empty_like(d_key_PD)
        d_product, d_second = _wide_zeros(product_HD), _wide_zeros(second_GH)
        d_second_bias, d_last = _wide_zeros(last_G), _wide_zeros(last_G)
        for at in _chunks(len(row_P), items_UD):
            row, item = row_P[at], history_P[at]
            hidden_H, hidden_G, d_scores = hidden_PH[at], hidden_PG[at], d_scores_P[at]
            target, key = target_BD.index_select(0, row), items_UD.index_select(0, item)
            d_pooled = d_pooled_BD.index_select(0, row)
            torch.sum(d_pooled * key, 1, out=d_scores)
            d_last.add_(hidden_G.t() @ d_scores)
            d_G = _where_positive(torch.outer(d_scores, last_G), hidden_G)
            _add_matmul_(d_second, d_G.t(), hidden_H)
            d_second_bias.add_(d_G.sum(0))
            d_H = _where_positive(d_G @ second_GH, hidden_H)
            _add_matmul_(d_product, d_H.t(), target * key)
            d_pairs = d_H @ product_HD
            torch.mul(key, d_pairs, out=d_target_PD[at])
            torch.mul(target, d_pairs, out=d_key_PD[at]).addcmul_(d_pooled, scores_P[at].unsqueeze(1))
            hidden_H.copy_(d_H)
        # Where each item's positions begin, in positions ordered by the item.
        ordered, by_item = torch.sort(history_P, stable=True)
        item_offsets = torch.searchsorted(ordered, torch.arange(len(items_UD) + 1, device=history_P.device))
        by_row = torch.arange(len(row_P), device=row_P.device)
        d_inputs = (
            sum_by_row(d_target_PD, by_row, offsets),
            sum_by_row(d_key_PD, by_item, item_offsets),
            sum_by_row(hidden_PH, by_row, offsets),
            sum_by_row(hidden_PH, by_item, item_offsets),
        )
        d_weights = (d_product, d_second, d_second_bias, d_last, d_scores_P.sum().view(1))
        return (*d_inputs, *(weight.to(items_UD.dtype) for weight in d_weights), None, None, None, None)


def _chunk_size(like: Tensor) -> int:
    return CHUNK if like.device.type == "cpu" else 2**18


def _chunks(positions: int, like: Tensor) -> Iterator[slice]:
    """Cut the positions; on a CPU the rest is halved and halved again, for sizes that recur (as above)."""
    size, start = _chunk_size(like), 0
    while start < positions:
        while like.device.type == "cpu" and size > positions - start:
            size = -(-size // 2)
        stop = min(start + size, positions)
        yield slice(start, stop)
        start = stop


def _relu_dropout_(hidden: Tensor, dropout: float) -> None:
    hidden.relu_()
    if dropout:
        hidden.mul_(keep_mask(hidden.shape, dropout, hidden.device).to(hidden.dtype))


def _where_positive(gradient: Tensor, hidden: Tensor) -> Tensor:
    """The gradient where ``hidden > 0``, else 0: the backward of ReLU and dropout in one."""
    return torch.ops.aten.threshold_backward.grad_input(gradient, hidden, 0, grad_input=gradient)


def _wide_zeros(like: Tensor) -> Tensor:
    """Room for a sum over chunks; one of half precision would lose what later chunks add."""
    return torch.zeros_like(like, dtype=torch.promote_types(like.dtype, torch.float32))


def _add_matmul_(total: Tensor, left: Tensor, right: Tensor) -> None:
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)
