"""Networks without a paper that the published curves are compared with. B rows, D width of an item."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mmctr_kedro.data.clicks import LEVELS, Batch
from mmctr_kedro.models.layers import CtrModel, ItemVectors, embedding_table, mlp

WIDTH = 64
UNITS = [512, 256]


class Plain(CtrModel):
    """A multilayer perceptron over the target (id, tags, embedding), its row's levels, and what more is given.

    It sees nothing of the history, as the published networks that start at 0.58-0.61 see next to nothing.

    Args:
        of_item: ``[N+1]`` float32, a number per item to be seen too; None: none.
        levels: Whether the row's levels are seen.
    """

    of_item: Tensor | None

    def __init__(
        self,
        item_tags: np.ndarray,
        item_embedding: np.ndarray,
        of_item: np.ndarray | None = None,
        levels: bool = True,
    ) -> None:
        super().__init__()
        self.items = ItemVectors(item_tags, item_embedding, int(item_tags.max()) + 1, WIDTH)
        self.levels = nn.ModuleList(embedding_table(LEVELS, WIDTH) for _ in range(2)) if levels else None
        self.register_buffer("of_item", None if of_item is None else torch.from_numpy(of_item), persistent=False)
        width = self.items.width + 2 * WIDTH * levels + (of_item is not None)
        self.head = mlp([width, *UNITS], 0.1)

    def forward(self, batch: Batch) -> Tensor:
        seen = [self.items(batch.items).index_select(0, batch.target)]
        if self.levels is not None:
            likes, views = self.levels
            seen += [likes(batch.likes_level), views(batch.views_level)]
        if self.of_item is not None:
            seen.append(self.of_item[batch.items[batch.target]].unsqueeze(-1))
        return self.head(torch.cat(seen, dim=-1)).squeeze(-1)

    def embedding_parameters(self) -> list[nn.Parameter]:
        levels = [] if self.levels is None else list(self.levels.parameters())
        return [*self.items.parameters(), *levels]
