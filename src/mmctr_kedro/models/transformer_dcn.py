"""Transformer and DCNv2, after Xu et al. 2025 (arXiv:2505.03543), the challenge's 1st place on Task 2.

Every click of the history is joined with the target and encoded (``nn.TransformerEncoderLayer``, post-norm, no
positions). The head reads the levels, the target, the max over time and the newest ``last`` encoded clicks, with
zeros for the clicks that a shorter history lacks; an empty history is encoded as one padding item, as published.
Same function as the published code, less work: only real positions are computed, the first layer's projections
once per distinct item and once per row, and the cross layers only where their input is not zero (staircase.py).

``published_mask``: the published code hands its mask (1 = real click) to a parameter where True means "ignore".
Attention then sees only the padding, and the outputs of real clicks are set to zero: of a history shorter than
the ``HISTORY_WIDTH`` stored positions only its length reaches the head, and of one that fills them only the
newest click (the code unmasks the last position where all are masked). Read from the copy of the code in
yinzm/WWW2025_MMCTR_rk1. At 91,718 items the model has 267.9 M parameters, 247.8 M of them in the cross layers.

B rows, P positions, U items, D item width, E = 2 D token width, X input width of the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import HISTORY_WIDTH
from mmctr_kedro.data.clicks import Batch
from mmctr_kedro.models.layers import Dropout, FeatureModel, of_recurring_size, xavier_linear
from mmctr_kedro.models.settings import TransformerDcnParams
from mmctr_kedro.models.staircase import staircase_blocks, staircase_linear


class TransformerDcn(FeatureModel):
    """Logits ``[B]`` of a ``Batch``."""

    def __init__(
        self, params: TransformerDcnParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int
    ) -> None:
        super().__init__(item_tags, item_embedding, tags, params.width)
        self.params = params
        token = 2 * self.items.width
        if token % params.heads:
            raise MmctrError(
                f"model.heads={params.heads} does not divide the token's {token} numbers, twice the item vector "
                f"(2 * width {params.width} + {item_embedding.shape[1]} of the embedding). Set heads to a divisor."
            )
        self.encoder = nn.ModuleList(
            EncoderLayer(token, params.heads, params.feed_forward, params.encoder_dropout) for _ in range(params.layers)
        )
        self.pooled = xavier_linear(token, token)
        self.head = Head(2 * params.width + self.items.width + token, token, params)

    def forward(self, batch: Batch) -> Tensor:
        sorted_or_padded = padded_tokens if torch.compiler.is_exporting() else tokens_of
        tokens = sorted_or_padded(batch, self.params.last, self.params.published_mask)
        items_UD = self.items(of_recurring_size(batch.items))
        target_BD = items_UD.index_select(0, batch.target.index_select(0, tokens.rows))
        levels_BW = self.levels(batch).index_select(0, tokens.rows)
        first, *others = cast(list[EncoderLayer], list(self.encoder))
        encoded_PE = first.join(F.pad(items_UD, (0, 0, 0, 1)), target_BD, tokens)
        for layer in others:
            encoded_PE = layer(encoded_PE, tokens)
        seen_PE = encoded_PE
        if tokens.there is not None:
            seen_PE = encoded_PE.masked_fill(~tokens.there.view(-1, 1), -torch.inf)
        longest_BE = self.pooled(torch.cat([part.amax(1) for part in by_length(seen_PE, tokens)]))
        always = torch.cat([levels_BW, target_BD, longest_BE], dim=-1)
        logits = self.head(always, newest_clicks(encoded_PE, tokens, self.params.last), tokens)
        return torch.empty_like(logits).index_copy(0, tokens.rows, logits)


@dataclass(frozen=True)
class Tokens:
    """The P positions that are encoded, in rows sorted so that equal lengths lie together.

    A slot is a place in the head's input: 0 is the newest click's. Rows that fill more slots come first.
    """

    rows: Tensor  # [B] int64, which row of the batch each sorted row is
    item: Tensor  # [P] int64, index into the batch's items; the number of items stands for the padding item
    row: Tensor  # [P] int64, sorted row
    slot: Tensor  # [P] int64
    groups: list[tuple[int, int]]  # rows and length of each run of equally long rows
    users: list[int]  # how many rows fill slot 0, 1, ...
    there: Tensor | None = None  # [B, length] bool, where they are padded: all rows are one group, in their order


def padded_tokens(batch: Batch, last: int, published_mask: bool) -> Tokens:
    """The same padded to the longest, as exporters can follow it: they know no lists of sizes."""
    real, length, first = encoded_of(batch, published_mask)
    rows, most = torch.arange(length.shape[0], device=length.device), cast(int, length.max().item())
    torch._check(most >= 1)
    age = torch.arange(most, device=length.device)
    there = age < length.unsqueeze(1)
    is_click = there & real.unsqueeze(1)
    place = torch.where(is_click, batch.offsets[1:].unsqueeze(1) - 1 - age, batch.history.shape[0])
    item = torch.where(is_click, F.pad(batch.history, (0, 1))[place], batch.items.shape[0])
    slot = torch.where(there, first.unsqueeze(1) + age, last)
    return Tokens(
        rows=rows,
        item=item.flatten(),
        row=rows.unsqueeze(1).expand_as(place).flatten(),
        slot=slot.flatten(),
        groups=[(length.shape[0], most)],
        users=[],
        there=there,
    )


def encoded_of(batch: Batch, published_mask: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Whether real clicks are encoded, how many tokens, and the slot of the first: ``[B]`` each."""
    clicks = batch.offsets.diff()
    if published_mask:
        real = clicks >= HISTORY_WIDTH
        return real, torch.where(real, 1, HISTORY_WIDTH - clicks), torch.where(real, 0, clicks)
    return clicks > 0, clicks.clamp(min=1), torch.zeros_like(clicks)


def tokens_of(batch: Batch, last: int, published_mask: bool) -> Tokens:
    """Real clicks, newest first, or with ``published_mask`` what the published code attends to instead."""
    real, length, first = encoded_of(batch, published_mask)
    filled = torch.where(first < last, (first + length).clamp(max=last), 0)
    rows = (filled * (length.max() + 1) + length).argsort(descending=True, stable=True)
    real, length, first, end = (values.index_select(0, rows) for values in (real, length, first, batch.offsets[1:]))
    row = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), length)
    age = torch.arange(len(row), device=rows.device) - (length.cumsum(0) - length).index_select(0, row)
    padded = F.pad(batch.history, (0, 1), value=len(batch.items))
    place = torch.where(real.index_select(0, row), end.index_select(0, row) - 1 - age, len(batch.history))
    lengths, runs = torch.unique_consecutive(length, return_counts=True)
    slots = torch.arange(last, device=rows.device)
    return Tokens(
        rows=rows,
        item=padded.index_select(0, place),
        row=row,
        slot=first.index_select(0, row) + age,
        groups=list(zip(runs.tolist(), lengths.tolist(), strict=True)),
        users=(filled.unsqueeze(1) > slots).sum(0).tolist(),
    )


def by_length(x_PE: Tensor, tokens: Tokens) -> list[Tensor]:
    """The positions of each group of equally long rows: ``[rows, length, E]`` each, without padding."""
    parts = x_PE.split([rows * length for rows, length in tokens.groups])
    return [part.view(*group, -1) for part, group in zip(parts, tokens.groups, strict=True)]


def newest_clicks(x_PE: Tensor, tokens: Tokens, last: int) -> Tensor:
    """The first ``last`` slots of every row, side by side, zero where nothing fills them: ``[B, last * E]``."""
    kept = (tokens.slot < last).nonzero().squeeze(-1)
    place = (tokens.row * last + tokens.slot).index_select(0, kept)
    empty = x_PE.new_zeros(tokens.rows.shape[0] * last, x_PE.shape[-1])
    return empty.index_copy(0, place, x_PE.index_select(0, kept)).view(tokens.rows.shape[0], -1)


class EncoderLayer(nn.Module):
    """``nn.TransformerEncoderLayer`` (post-norm, ReLU) over the positions of jagged rows: ``[P, E]`` to the same."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)  # query, key, value
        self.output = nn.Linear(width, width)
        self.widen, self.narrow = xavier_linear(width, feed_forward), xavier_linear(feed_forward, width)
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = Dropout(dropout)
        nn.init.xavier_uniform_(self.project.weight)  # as nn.MultiheadAttention, which FuxiCTR leaves alone
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.output.bias)

    def forward(self, x_PE: Tensor, tokens: Tokens) -> Tensor:
        return self._after_projection(x_PE, self.project(x_PE), tokens)

    def join(self, items_UD: Tensor, target_BD: Tensor, tokens: Tokens) -> Tensor:
        """The same on tokens [item, target], projected once per item and once per row, then summed."""
        item_weight, target_weight = self.project.weight.chunk(2, dim=1)
        item_part = F.linear(items_UD, item_weight)
        row_part = F.linear(target_BD, target_weight, self.project.bias)
        x_PE = torch.cat([F.embedding(tokens.item, items_UD), F.embedding(tokens.row, target_BD)], dim=-1)
        return self._after_projection(
            x_PE, F.embedding(tokens.item, item_part) + F.embedding(tokens.row, row_part), tokens
        )

    def _after_projection(self, x_PE: Tensor, projected: Tensor, tokens: Tokens) -> Tensor:
        attended = self.output(torch.cat([self._attend(part, tokens.there) for part in by_length(projected, tokens)]))
        x_PE = self.norm_attention(x_PE + self.dropout(attended))
        hidden = self.dropout(self.widen(x_PE).relu())
        return self.norm_feed_forward(x_PE + self.dropout(self.narrow(hidden)))

    def _attend(self, projected: Tensor, there: Tensor | None) -> Tensor:
        """Self-attention of equally long rows, to what is there: ``[rows, length, 3 E]`` to ``[rows * length, E]``."""
        rows, length, width = projected.shape
        query, key, value = projected.view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5)
        if there is not None:
            scores = scores.masked_fill(~there[:, None, None], -torch.inf)
        attended = self.dropout(scores.softmax(-1)).to(value.dtype) @ value
        return attended.transpose(1, 2).reshape(rows * length, width // 3)


class Head(nn.Module):
    """DCNv2: full-matrix cross layers beside a DNN, both into an MLP to one logit."""

    def __init__(self, always: int, token: int, params: TransformerDcnParams) -> None:
        super().__init__()
        self.always, self.token = always, token
        width = always + params.last * token
        self.cross = nn.ModuleList(xavier_linear(width, width) for _ in range(params.cross_layers))
        self.dnn = nn.ModuleList(xavier_linear(*sizes) for sizes in pairwise([width, *params.dnn_units]))
        joined = width + params.dnn_units[-1]
        self.mlp = nn.ModuleList(xavier_linear(*sizes) for sizes in pairwise([joined, *params.head_units, 1]))
        self.dropout = Dropout(params.net_dropout)

    def forward(self, always: Tensor, newest: Tensor, tokens: Tokens) -> Tensor:
        x_BX = torch.cat([always, newest], dim=-1)
        blocks = staircase_blocks(x_BX.shape[0], self.always, tokens.users, self.token)
        crossed = x_BX
        for layer in linears(self.cross):
            factor = staircase_linear(crossed, layer.weight, layer.bias, blocks, square=True)
            crossed = torch.addcmul(crossed, x_BX, factor)
        first, *others = linears(self.dnn)
        deep = self.dropout(staircase_linear(x_BX, first.weight, first.bias, blocks).relu())
        for layer in others:
            deep = self.dropout(layer(deep).relu())
        first, *others = linears(self.mlp)
        cross_weight, deep_weight = first.weight.split([crossed.shape[1], deep.shape[1]], dim=1)
        hidden = staircase_linear(crossed, cross_weight, first.bias, blocks) + F.linear(deep, deep_weight)
        for layer in others:
            hidden = layer(hidden.relu())
        return hidden.squeeze(-1)


def linears(layers: nn.ModuleList) -> list[nn.Linear]:
    return cast(list[nn.Linear], list(layers))
