"""Our own model: a sum of separate pieces of evidence that a row is a click, each switched off by a setting.

A row shows a user's clicks, an item and two levels. Bayes' rule makes a sum of it,

    log-odds(click | clicks, item, levels)
        = log-odds(click | clicks, item)  +  log P(levels | item, click) / P(levels | item, no click),

and each piece is one summand of the right side:

- ``Taste``: have the user's clicks and the item content in common?
- ``record``: is this item clicked more often than others like it?
- ``CoClicks``: is it clicked by those who clicked the same items?
- ``Popularity``: are items of its levels clicked more often than others?
- ``Levels``: are the row's levels the item's own? In the challenge's files a row without a click most likely carries
  another item's (docs/world.md): a leak, which no other piece may see.

The click loss is taken twice, of the sum without ``Levels`` and of the whole sum; the second moves ``Levels`` alone. So
what is left without the leak is a model of its own and not the remainder of another. Whose levels are whose is learnt
in the same steps by the cross-entropy of the levels of clicked rows. Nothing is looked up and no counts are fed in: all
of it is parameters of one network.

``record`` is ``absorbed`` by default: learnt, and not counted. Else ``Taste`` would learn, through content that tells
items apart, which items train ever shows without a click, as that separates train and says nothing about valid.

Tried and left out of ``Taste``, as it lowered the valid AUC: ids, levels, single codes, tiers of similarity (SimTier,
arXiv:2407.19467); target attention and a pairwise loss brought nothing.

B rows, P positions, U items, N items in all, K width of what is known of an item, M heads, C codes, L levels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kedro.data.clicks import LEVELS, Batch
from mmctr_kedro.models.layers import (
    BatchNorm,
    CtrModel,
    Dropout,
    GivenItems,
    IdTable,
    mlp,
    of_recurring_size,
    sum_by_row,
    xavier_linear,
)
from mmctr_kedro.models.settings import EvidenceParams

SMALL = 64  # hidden units of what is guessed from content about an item of its own
# A number of a rare item moves by a learning rate whenever the item is met; counted so many times, one click tells
# much.
GAIN = 20.0


class Evidence(CtrModel):
    """Logits ``[B]`` of a ``Batch``: the sum of the pieces that count."""

    def __init__(self, params: EvidenceParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__()
        items = len(item_embedding)
        self.counted = params.counted
        self.content = Content(params, item_tags, item_embedding, tags)
        self.taste = Taste(params, self.content.width) if params.taste else None
        self.record = OwnNumbers(items, self.content.width, 1) if params.record != "off" else None
        self.co_clicks = CoClicks(items, params.co_click_width) if params.co_clicks else None
        reads_own_levels = params.levels or params.popularity
        self.own_levels = OwnNumbers(items, self.content.width, 2 * LEVELS) if reads_own_levels else None
        self.popularity = Popularity() if params.popularity else None
        self.levels = Levels(items) if params.levels else None

    def forward(self, batch: Batch) -> Tensor:
        return torch.stack(list(self.pieces(batch).values())).sum(0)

    def pieces(self, batch: Batch) -> dict[str, Tensor]:
        said, _ = self.evidence(batch)
        return {name: said[name] for name in self.counted}

    def evidence(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor | None]:
        """What each piece says, by its name: ``[B]`` log-odds; those that training alone counts are there too.

        Beside it log P(level | item) of the targets, for likes and for views: ``[B, 2, L]``, learnt from the levels of
        clicked rows.
        """
        known_UK = self.content(of_recurring_size(batch.items))
        target_B = batch.items.index_select(0, batch.target)
        known_BK = known_UK.index_select(0, batch.target)
        said, own_B2L = {}, None
        if self.taste is not None:
            said["taste"] = self.taste(known_UK, batch)
        if self.record is not None:
            said["record"] = self.record(target_B, known_BK).squeeze(-1)
        if self.co_clicks is not None:
            said["co_clicks"] = self.co_clicks(target_B, batch)
        if self.own_levels is not None:
            own_B2L = self.own_levels(target_B, known_BK.detach()).unflatten(1, (2, LEVELS)).log_softmax(-1)
            if self.popularity is not None:
                said["popularity"] = self.popularity(own_B2L)
            if self.levels is not None:
                said["levels"] = self.levels(own_B2L, batch)
        return said, own_B2L

    def item_parts(self, every: Batch) -> tuple[Tensor, Tensor | None]:
        """What the pieces that read no history say of each item, ``[N]``, and its codes, ``[N, M, C]``."""
        said, _ = self.evidence(every)
        alone = [said[name] for name in self.counted if name not in ("taste", "co_clicks")]
        codes_NMC = self.taste.codes(self.content(every.items)) if self.taste is not None else None
        return torch.stack([self.content.content_table.new_zeros(len(every)), *alone]).sum(0), codes_NMC

    def after(self, clicks_P: Tensor, candidates_C: Tensor, parts: tuple[Tensor, Tensor | None]) -> Tensor:
        alone_N, codes_NMC = parts
        logits_C, n_C1 = alone_N[candidates_C], alone_N.new_full((len(candidates_C), 1), len(clicks_P))
        if self.taste is not None and codes_NMC is not None:
            match_CM = (codes_NMC[candidates_C] * codes_NMC[clicks_P].sum(0)).sum(-1)
            logits_C = logits_C + self.taste.of_match(match_CM, n_C1)
        if self.co_clicks is not None:
            clicks_E = self.co_clicks.click(clicks_P).sum(0)
            logits_C = logits_C + self.co_clicks.of_clicks(self.co_clicks.target(candidates_C), clicks_E, n_C1[:, 0])
        return logits_C

    def training_loss(self, batch: Batch, click_loss: Callable[[Tensor], Tensor]) -> Tensor:
        said, own_B2L = self.evidence(batch)
        levels_B = said.pop("levels", None)
        loss, others_B = self.content.content_table.new_zeros(()), self.content.content_table.new_zeros(len(batch))
        if said:
            others_B = torch.stack(list(said.values())).sum(0)
            loss = click_loss(others_B)
        if own_B2L is not None:
            loss = loss - mean_of_clicks(log_chance(own_B2L, batch), batch)
        if self.levels is not None and levels_B is not None:
            loss = loss + click_loss(others_B.detach() + levels_B + self.levels.of_item(batch))
            loss = loss - mean_of_clicks(self.levels.log_anywhere(batch), batch)
        return loss


class Content(GivenItems):
    """What is known of items ``[U]`` beside their id: ``[U, K]``, the given embedding and the mean of the tags.

    The embedding is held as a frozen table, centred, and scaled to a mean standard deviation of 1.
    """

    def __init__(self, params: EvidenceParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        content = item_embedding[1:].astype(np.float64)
        super().__init__(
            item_tags, item_embedding, shift=content.mean(axis=0), scale=float(content.std(axis=0).mean()) or 1.0
        )
        self.tag = nn.EmbeddingBag(tags, params.tag_width, mode="mean", padding_idx=0)
        nn.init.normal_(self.tag.weight[1:], std=0.1)
        self.width = content.shape[1] + params.tag_width

    def forward(self, items_U: Tensor) -> Tensor:
        return torch.cat([self.content_table[items_U], self.tag(self.tag_table[items_U])], dim=-1)


class Taste(nn.Module):
    """Does the target fall among the codes that the user's clicks fall among? ``[B]``.

    Each item is given soft codes, one distribution over C codes per head, from its content alone: a learned product
    quantisation, trained in place by the click loss (quantised codes in rankers: arXiv:2504.02137, 2411.11739). A user
    is the sum of the codes of the clicks; the target's match is, per head, how much of that sum lies on its own codes.
    The network that decides sees these matches, as a sum and as a share, and the history's length.
    """

    def __init__(self, params: EvidenceParams, known: int) -> None:
        super().__init__()
        self.hidden = xavier_linear(known, params.width)
        self.dropout = Dropout(params.net_dropout)
        self.code = xavier_linear(params.width, params.heads * params.codes)
        self.shape = (params.heads, params.codes)
        features = 2 * params.heads + 1
        self.norm = BatchNorm(features)
        self.head = mlp([features, *params.head_units], params.net_dropout)

    def forward(self, known_UK: Tensor, batch: Batch) -> Tensor:
        codes_UMC = self.codes(known_UK)
        clicks_BMC = sum_by_row(codes_UMC.flatten(1), batch.history, batch.offsets).unflatten(1, self.shape)
        match_BM = (codes_UMC.index_select(0, batch.target) * clicks_BMC).sum(-1)
        return self.of_match(match_BM, batch.offsets.diff().unsqueeze(1).to(match_BM.dtype))

    def codes(self, known_UK: Tensor) -> Tensor:
        """``[U, M, C]``, a distribution for each head."""
        hidden = self.dropout(F.gelu(self.hidden(known_UK)))
        return self.code(hidden).to(known_UK.dtype).unflatten(1, self.shape).softmax(-1)

    def of_match(self, match_BM: Tensor, n_B1: Tensor) -> Tensor:
        """What a match with so many clicks says, ``[B]``."""
        return self.head(self.norm(torch.cat([match_BM, match_BM / (n_B1 + 1), n_B1.log1p()], dim=-1))).squeeze(-1)


class OwnNumbers(nn.Module):
    """Numbers of each target ``[B, width]``, such as its record: what its content lets guess, and its own beside it.

    The item's own begin at 0 and are held there by ``embedding_regularizer``, the prior: an item that train never shows
    is judged by its content alone.
    """

    def __init__(self, items: int, known: int, width: int) -> None:
        super().__init__()
        self.guess = nn.Sequential(xavier_linear(known, SMALL), nn.GELU(), xavier_linear(SMALL, width))
        self.own = table_of_zeros(items, width)

    def forward(self, target_B: Tensor, known_BK: Tensor) -> Tensor:
        return self.guess(known_BK) + GAIN * self.own(target_B)


class CoClicks(nn.Module):
    """How well the target's id goes with the ids of the user's clicks: ``[B]``. FISM (Kabbur et al., KDD 2013)."""

    def __init__(self, items: int, width: int) -> None:
        super().__init__()
        self.target, self.click = IdTable(items, width), IdTable(items, width)
        for table in (self.target, self.click):
            nn.init.normal_(table.weight[1:], std=0.1)

    def forward(self, target_B: Tensor, batch: Batch) -> Tensor:
        clicks_BE = sum_by_row(self.click(batch.items), batch.history, batch.offsets)
        return self.of_clicks(self.target(target_B), clicks_BE, batch.offsets.diff().to(clicks_BE.dtype))

    def of_clicks(self, target_BE: Tensor, clicks_BE: Tensor, n_B: Tensor) -> Tensor:
        """Of the targets' vectors and the sum of the n clicks'."""
        return (target_BE * clicks_BE).sum(-1) / (n_B + 1).sqrt()


class Popularity(nn.Module):
    """What the levels that an item has, and not those that the row carries, say of its clicks: ``[B]``."""

    def __init__(self) -> None:
        super().__init__()
        self.worth = nn.Parameter(torch.zeros(2, LEVELS))

    def forward(self, own_B2L: Tensor) -> Tensor:
        return (own_B2L.detach().exp() * self.worth).sum((1, 2))


class Levels(nn.Module):
    """log P(levels | item, click) / P(levels | item, no click): ``[B]``.

    A click carries its item's levels. Of the rows without a click a share does too, and the others carry those of a
    click anywhere, whichever the item. Only the share is learnt by the click loss. It begins near 1, and where every
    row carries its item's levels, as it should be, it stays there: the ratio is 1 and this piece is silent.
    """

    def __init__(self, items: int) -> None:
        super().__init__()
        self.anywhere = nn.Parameter(torch.zeros(LEVELS * LEVELS))
        self.share_of_own = nn.Parameter(torch.full((), 6.0 / GAIN))
        self.alike = table_of_zeros(items, 1)

    def forward(self, own_B2L: Tensor, batch: Batch) -> Tensor:
        share = GAIN * self.share_of_own  # its logit
        others = (self.log_anywhere(batch) - log_chance(own_B2L, batch)).detach()
        return -torch.logaddexp(F.logsigmoid(share), F.logsigmoid(-share) + others)

    def log_anywhere(self, batch: Batch) -> Tensor:
        """log of the share of all clicks that have the row's two levels: ``[B]``."""
        return (GAIN * self.anywhere).log_softmax(0)[batch.likes_level * LEVELS + batch.views_level]

    def of_item(self, batch: Batch) -> Tensor:
        """A number for each item ``[B]`` that training adds and prediction does not.

        Items that train shows clicked have levels that are known, and so a larger ratio, which gives away train's
        labels and no others. With this number beside it, the share is learnt from what differs between rows of one
        item.
        """
        return GAIN * self.alike(batch.items.index_select(0, batch.target)).squeeze(-1)


def table_of_zeros(items: int, width: int) -> IdTable:
    """Numbers of each item that begin at 0; row 0 is padding and stays there."""
    table = IdTable(items, width)
    nn.init.zeros_(table.weight)
    return table


def log_chance(own_B2L: Tensor, batch: Batch) -> Tensor:
    """log P(the row's two levels | item): ``[B]``."""
    levels_B2 = torch.stack([batch.likes_level, batch.views_level], dim=1)
    return own_B2L.gather(2, levels_B2.unsqueeze(-1)).sum((1, 2))


def mean_of_clicks(x_B: Tensor, batch: Batch) -> Tensor:
    """Mean over the clicked rows; 0 where there are none."""
    label_B = batch.whole_label
    return (batch.whole(x_B) * label_B).sum() / label_B.sum().clamp(min=1)
