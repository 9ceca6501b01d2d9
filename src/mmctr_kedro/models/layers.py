"""Layers that several models share. U distinct items of a batch, N items in all, T tags per item."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kedro.common import ranks
from mmctr_kedro.data.clicks import LEVELS, Batch

EMBEDDING_STD = 1e-4  # FuxiCTR 2.3.7, FeatureEmbedding


class CtrModel(nn.Module):
    """A model maps a ``Batch`` to logits ``[B]``; it knows no optimizer, device, loss or file."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor: ...

    def pieces(self, batch: Batch) -> dict[str, Tensor]:
        """The summands of the logit by name, ``[B]`` each; a model that is no sum has none."""
        return {}

    def training_loss(self, batch: Batch, click_loss: Callable[[Tensor], Tensor]) -> Tensor:
        """What training makes small, without penalties; ``click_loss`` maps logits ``[B]`` to the loss of their
        clicks."""
        return click_loss(self(batch))

    def item_parts(self, every: Batch) -> Any:
        """What ``after`` needs of the items, computed once for many histories; for models that gain nothing the items.

        ``every`` holds each item as a target, row i item i, with its own levels and without history.
        """
        return every

    def after(self, clicks_P: Tensor, candidates_C: Tensor, parts: Any) -> Tensor:
        """Logits ``[C]`` of candidates after one history, both item ids; ``parts`` as ``item_parts`` gives them."""
        items_U, place = torch.cat([candidates_C, clicks_P]).unique(return_inverse=True)
        target, clicks = place.split([len(candidates_C), len(clicks_P)])
        rows = torch.arange(len(candidates_C) + 1, device=place.device)
        return self(
            Batch(
                items=items_U,
                target=target,
                history=clicks.repeat(len(candidates_C)),
                offsets=rows * len(clicks_P),
                likes_level=parts.likes_level[candidates_C],
                views_level=parts.views_level[candidates_C],
            )
        )

    def add_items(self, item_tags: np.ndarray, item_embedding: np.ndarray) -> None:
        """Take M items that training never saw, by ``[M, T]`` tags and ``[M, D]`` embedding; their ids say nothing."""
        for module in self.modules():
            if isinstance(module, IdTable):
                module.add_rows(len(item_tags))
            elif isinstance(module, GivenItems):
                module.add_rows(item_tags, item_embedding)

    def embedding_parameters(self) -> list[nn.Parameter]:
        """The parameters that ``embedding_regularizer`` covers: all tables, unless a model says otherwise.

        ``net_regularizer`` covers all others.
        """
        tables = [module for module in self.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)]
        return [weight for table in tables for weight in table.parameters()]


class IdTable(nn.Embedding):
    """A row of weights for each item id; row 0 is padding: zero, and never moved."""

    def __init__(self, items: int, width: int) -> None:
        super().__init__(items, width, padding_idx=0)

    def add_rows(self, count: int) -> None:
        """Rows of zeros, which is what is known of ids that no training has met."""
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), self.weight.new_zeros(count, self.embedding_dim)]))
        self.num_embeddings += count


class GivenItems(nn.Module):
    """What is given of the items and never trained: ``tag_table`` ``[N, T]`` int64, ``content_table`` ``[N, D]``.

    Content is held as ``(embedding - shift) / scale``, by the items of training; row 0 is zeros.
    """

    tag_table: Tensor
    content_table: Tensor

    def __init__(
        self, item_tags: np.ndarray, item_embedding: np.ndarray, shift: np.ndarray | float = 0.0, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.shift, self.scale = shift, scale
        self.register_buffer("tag_table", torch.tensor(item_tags, dtype=torch.int64), persistent=False)
        self.register_buffer("content_table", self._content(item_embedding), persistent=False)
        self.content_table[0] = 0

    def _content(self, item_embedding: np.ndarray) -> Tensor:
        scaled = (item_embedding.astype(np.float64) - self.shift) / self.scale
        return torch.tensor(scaled, dtype=torch.get_default_dtype())

    def add_rows(self, item_tags: np.ndarray, item_embedding: np.ndarray) -> None:
        """The same of more items."""
        tags = torch.tensor(item_tags, dtype=torch.int64, device=self.tag_table.device)
        self.tag_table = torch.cat([self.tag_table, tags])
        self.content_table = torch.cat([self.content_table, self._content(item_embedding).to(self.content_table)])


class ItemVectors(GivenItems):
    """What the model knows of an item: id ``[width]``, mean of tags ``[width]``, projected embedding ``[D]``.

    Maps ids ``[U]`` to ``[U, 2 * width + D]``. The given embedding and tags are frozen tables, not weights.
    """

    def __init__(self, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int, width: int) -> None:
        super().__init__(item_tags, item_embedding)
        items, content_width = item_embedding.shape
        self.item = embedding_table(items, width)
        self.tag = nn.EmbeddingBag(tags, width, mode="mean", padding_idx=0)  # padding does not count in the mean
        self.content = xavier_linear(content_width, content_width, bias=False)
        nn.init.normal_(self.tag.weight[1:], std=EMBEDDING_STD)
        self.width = 2 * width + content_width

    def forward(self, items_U: Tensor) -> Tensor:
        parts = [
            self.item(items_U),
            self.tag(self.tag_table[items_U]),
            self.content(self.content_table[items_U]),
        ]
        return torch.cat(parts, dim=-1)


class FeatureModel(CtrModel):
    """A model of the challenge's features: vectors of items, and a table each for the two levels of a row."""

    def __init__(self, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int, width: int) -> None:
        super().__init__()
        self.items = ItemVectors(item_tags, item_embedding, tags, width)
        self.likes_level = level_table(width)
        self.views_level = level_table(width)

    def levels(self, batch: Batch) -> Tensor:
        """``[B, 2 * width]``."""
        return torch.cat([self.likes_level(batch.likes_level), self.views_level(batch.views_level)], dim=-1)

    def embedding_parameters(self) -> list[nn.Parameter]:
        tables = [self.items, self.likes_level, self.views_level]
        return [parameter for table in tables for parameter in table.parameters()]


class BatchNorm(nn.BatchNorm1d):
    """Over the rows of all processes; of one, torch's own. (Its ``SyncBatchNorm`` works on GPUs alone.)"""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and ranks.size() > 1:
            return self._over_all(x.float()).to(x.dtype)
        return super().forward(x)

    @torch.compiler.disable
    def _over_all(self, x_BD: Tensor) -> Tensor:
        wide_BD = x_BD.double()  # or the difference of squares below would have few digits
        sums = torch.cat([wide_BD.sum(0), wide_BD.square().sum(0), wide_BD.new_full((1,), len(x_BD))])
        *of_columns, rows = ranks.total(sums).split([self.num_features, self.num_features, 1])
        mean_D, square_D = (column / rows for column in of_columns)
        variance_D = square_D - mean_D.square()
        with torch.no_grad():
            running_mean, running_variance, batches = self.buffers()
            running_mean.lerp_(mean_D.float(), self.momentum or 0.0)
            running_variance.lerp_((variance_D * rows / (rows - 1)).float(), self.momentum or 0.0)
            batches += 1
        scale_D = (variance_D + self.eps).rsqrt().float() * self.weight
        return (x_BD - mean_D.float()) * scale_D + self.bias


class Dropout(nn.Module):
    """Dropout from 16 random bits per number: the rate is met to 1/65,536; faster than ``nn.Dropout``."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        return x * keep_mask(x.shape, self.rate, x.device).to(x.dtype).mul_(1 / (1 - self.rate))


def keep_mask(shape: torch.Size, rate: float, device: torch.device) -> Tensor:
    """0 with probability ``rate``, else 1, int16. Four numbers share each 64-bit draw of torch.

    Not bool: comparing 16 bits in place and casting the result is vectorised, the way to bool and back is not.
    """
    if torch.compiler.is_compiling():  # what follows is torch's inductor's undoing; compiled, this is as fast
        return (torch.rand(shape, device=device) >= rate).to(torch.int16)
    count = math.prod(shape)
    draws = torch.empty(-(-count // 4), dtype=torch.int64, device=device).random_(-(2**63), None)
    return draws.view(torch.int16)[:count].view(shape).ge_(min(round(rate * 65536), 65535) - 32768)


def mlp(widths: list[int], dropout: float) -> nn.Sequential:
    """Linear, batch norm, ReLU, dropout per hidden width, then a linear layer to one logit (FuxiCTR)."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [xavier_linear(before, after), BatchNorm(after), nn.ReLU(), Dropout(dropout)]
    return nn.Sequential(*layers, xavier_linear(widths[-1], 1))


def embedding_table(rows: int, width: int) -> IdTable:
    """An id table as FuxiCTR initialises it."""
    table = IdTable(rows, width)
    nn.init.normal_(table.weight[1:], std=EMBEDDING_STD)
    return table


def level_table(width: int) -> nn.Embedding:
    """The same for levels: 0 is none."""
    table = nn.Embedding(LEVELS, width, padding_idx=0)
    nn.init.normal_(table.weight[1:], std=EMBEDDING_STD)
    return table


def xavier_linear(before: int, after: int, bias: bool = True) -> nn.Linear:
    """A linear layer as FuxiCTR initialises it: xavier normal, zero bias."""
    layer = nn.Linear(before, after, bias=bias)
    nn.init.xavier_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def compute_dtype(like: Tensor) -> torch.dtype:
    """What autocast asks for on this device; without it the type there is."""
    device = like.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else like.dtype


def of_recurring_size(items_U: Tensor) -> Tensor:
    """With some more items, all of them padding, so that a batch's U is one of 16 sizes per doubling.

    In half precision on a CPU, oneDNN keeps working memory for every shape of matrix product that it ever saw,
    a megabyte or so each: 17 MB a step. fp32 takes another way and needs none of this.
    """
    if items_U.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return items_U
    grain = max(1, 2 ** (len(items_U).bit_length() - 5))
    return F.pad(items_U, (0, -len(items_U) % grain))


def row_of_position(offsets: Tensor, positions: int) -> Tensor:
    """The row each history position belongs to: ``[P]`` int64, from offsets ``[B + 1]``."""
    if torch.compiler.is_exporting():  # ONNX repeats nothing by a tensor
        begins = offsets.new_zeros(positions + 1).index_add(0, offsets[1:], torch.ones_like(offsets[1:]))
        return begins.cumsum(0)[:-1]
    rows = torch.arange(offsets.shape[0] - 1, device=offsets.device)
    return torch.repeat_interleave(rows, offsets.diff(), output_size=positions)


def sum_by_row(items_UD: Tensor, history_P: Tensor, offsets: Tensor, weights_P: Tensor | None = None) -> Tensor:
    """Sum of each row's history vectors, weighted if there are weights: ``[B, D]``; an empty history sums to zeros.

    Added up in float32 or wider.
    """
    if torch.compiler.is_exporting():  # ONNX has no bags
        weighted_PD = items_UD.index_select(0, history_P)
        if weights_P is not None:
            weighted_PD = weighted_PD * weights_P.unsqueeze(1)
        row_P = row_of_position(offsets, history_P.shape[0])
        return items_UD.new_zeros(offsets.shape[0] - 1, items_UD.shape[1]).index_add(0, row_P, weighted_PD)
    return F.embedding_bag(
        history_P, items_UD, offsets, mode="sum", per_sample_weights=weights_P, include_last_offset=True
    )
