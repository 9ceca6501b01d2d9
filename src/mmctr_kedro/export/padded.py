"""A scorer's network over padded histories, as exporters can follow it.

Inside the graph the padding is left out again, so that a history costs what it has of clicks, and the same code runs as
everywhere: ``torch.compiler.is_exporting()`` marks the few places where a model says the same in other words.
"""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from mmctr_kedro.data.clicks import Batch
from mmctr_kedro.models.layers import GivenItems
from mmctr_kedro.scoring.scorer import Scorer


class Padded(nn.Module):
    """Histories ``[B, P]`` int64, 0 = padding, and candidates ``[B]`` int64 to pCTR ``[B]`` float32.

    Args:
        scorer: Its items, those that were added included, and their levels become part of the module.
        every_item: Compute what the network knows of items for all of them and not only for those of the batch. For a
            runtime that folds constants, as onnxruntime does when it loads a file, this costs nothing per batch.
    """

    levels: Tensor

    def __init__(self, scorer: Scorer, every_item: bool) -> None:
        super().__init__()
        self.max_history, self.every_item = scorer.params.max_history, every_item
        self.network = deepcopy(scorer.network).cpu().eval()
        self.register_buffer("levels", torch.tensor(scorer.item_levels, dtype=torch.int64))
        for name, part in list(self.network.named_children()):
            if isinstance(part, GivenItems):
                table = part(torch.arange(len(self.levels)))
                setattr(self.network, name, nn.Embedding.from_pretrained(table))

    def forward(self, histories: Tensor, items: Tensor) -> Tensor:
        real = histories != 0
        clicks_since = real.flip(1).cumsum(1).flip(1)
        real = real & (clicks_since <= self.max_history)
        clicks = histories[real]
        offsets = torch.cat([items.new_zeros(1), real.sum(1).cumsum(0)])
        likes_level, views_level = self.levels[items].unbind(1)
        if self.every_item:
            known, target, history = torch.arange(self.levels.shape[0]), items, clicks
        else:
            known, target = torch.cat([items, clicks]), torch.arange(items.shape[0])
            history = items.shape[0] + torch.arange(clicks.shape[0])
        return self.network(Batch(known, target, history, offsets, likes_level, views_level)).sigmoid()
