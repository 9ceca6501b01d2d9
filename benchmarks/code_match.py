"""Code match, our model of before: taste alone, and nothing beside it that learns what an item has of its own.

The piece ``Taste`` of models/evidence.py came of it and describes it. The study trains it to see that ``evidence``
loses nothing where content decides.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kedro.batch import Batch
from mmctr_kedro.models.layers import CtrModel, Dropout, mlp, of_recurring_size, xavier_linear
from mmctr_kedro.params import EvidenceParams


class CodeMatch(CtrModel):
    """Logits ``[B]`` of a ``Batch``; of the settings it reads those of taste."""

    def __init__(self, params: EvidenceParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__()
        self.codes = SoftCodes(params, item_tags, item_embedding, tags)
        features = 2 * params.heads + 1
        self.norm = nn.BatchNorm1d(features)
        self.head = mlp([features, *params.head_units], params.net_dropout)

    def forward(self, batch: Batch) -> Tensor:
        codes_UMC = self.codes(of_recurring_size(batch.items))
        return self.head(self.norm(torch.cat(self.matches(codes_UMC, batch), dim=-1))).squeeze(-1)

    def matches(self, codes_UMC: Tensor, batch: Batch) -> list[Tensor]:
        """Per head the clicks on the target's codes, ``[B, M]``, their share of all, ``[B, M]``, and log(1 + n)."""
        clicks_BMC = F.embedding_bag(
            batch.history, codes_UMC.flatten(1), batch.offsets, mode="sum", include_last_offset=True
        ).unflatten(1, codes_UMC.shape[1:])
        match_BM = (codes_UMC.index_select(0, batch.target) * clicks_BMC).sum(-1)
        n_B1 = batch.offsets.diff().unsqueeze(1).to(match_BM.dtype)
        return [match_BM, match_BM / (n_B1 + 1), n_B1.log1p()]

    def embedding_parameters(self) -> list[nn.Parameter]:
        return list(self.codes.tag.parameters())


class SoftCodes(nn.Module):
    """Items ``[U]`` to ``[U, M, C]``, each head's codes summing to 1: from embedding and tags alone.

    The given embedding is held as a frozen table, centred, and scaled to a mean standard deviation of 1.
    """

    tag_table: Tensor
    content_table: Tensor

    def __init__(self, params: EvidenceParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__()
        content = item_embedding[1:].astype(np.float64)
        scale = float(content.std(axis=0).mean()) or 1.0
        table = np.concatenate([np.zeros((1, content.shape[1])), (content - content.mean(axis=0)) / scale])
        self.register_buffer("content_table", torch.tensor(table, dtype=torch.get_default_dtype()), persistent=False)
        self.register_buffer("tag_table", torch.tensor(item_tags, dtype=torch.int64), persistent=False)
        self.tag = nn.EmbeddingBag(tags, params.tag_width, mode="mean", padding_idx=0)
        nn.init.normal_(self.tag.weight[1:], std=0.1)
        self.hidden = xavier_linear(table.shape[1] + params.tag_width, params.width)
        self.dropout = Dropout(params.net_dropout)
        self.code = xavier_linear(params.width, params.heads * params.codes)
        self.shape = (params.heads, params.codes)

    def forward(self, items_U: Tensor) -> Tensor:
        hidden = self.dropout(F.gelu(self.hidden(torch.cat(self.known(items_U), dim=-1))))
        return self.code(hidden).to(self.content_table.dtype).unflatten(1, self.shape).softmax(-1)

    def known(self, items_U: Tensor) -> list[Tensor]:
        """What the codes are made from: no id, so there is nothing for a single item to be remembered by."""
        return [self.content_table[items_U], self.tag(self.tag_table[items_U])]
