"""What was tried around code match and left out of it: its ablations, as models that the study can train.

Ablations that are settings (a pairwise loss, other sizes) stand in benchmarks/study.yml alone; here are
those that need code. Each is built like a registered model: (params, item_tags, item_embedding, tags) to ``CtrModel``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kedro.batch import Batch
from mmctr_kedro.models.code_match import CodeMatch, SoftCodes
from mmctr_kedro.models.layers import LEVELS, CtrModel, embedding_table, mlp, row_of_position, xavier_linear
from mmctr_kedro.params import CodeMatchParams

TIERS = 11
ATTENTION_HEADS, ATTENTION_WIDTH = 4, 32
ID_WIDTH, LEVEL_WIDTH = 16, 16


class WithMore(CodeMatch):
    """Code match whose head sees ``extra`` numbers more, which ``more`` computes."""

    def __init__(self, params: CodeMatchParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__(params, item_tags, item_embedding, tags)
        features = self.norm.num_features + self.prepare(params)
        self.norm = nn.BatchNorm1d(features)
        self.head = mlp([features, *params.head_units], params.net_dropout)

    def matches(self, codes_UMC: Tensor, batch: Batch) -> list[Tensor]:
        return [*super().matches(codes_UMC, batch), *self.more(codes_UMC, batch)]

    def prepare(self, params: CodeMatchParams) -> int:
        """Make the layers that ``more`` needs; how many numbers it adds."""
        raise NotImplementedError

    def more(self, codes_UMC: Tensor, batch: Batch) -> list[Tensor]:
        raise NotImplementedError


class WithTiers(WithMore):
    """SimTier (arXiv:2407.19467): how many clicks lie in each tier of cosine similarity to the target."""

    def prepare(self, params: CodeMatchParams) -> int:
        return TIERS

    def more(self, codes_UMC: Tensor, batch: Batch) -> list[Tensor]:
        content_UD = F.normalize(self.codes.content_table[batch.items], dim=-1)
        row_P = row_of_position(batch.offsets, len(batch.history))
        similarity_P = (content_UD[batch.target][row_P] * content_UD[batch.history]).sum(-1)
        tier_P = ((similarity_P + 1) / 2 * (TIERS - 1)).round().long().clamp(0, TIERS - 1)
        count = similarity_P.new_zeros(len(batch) * TIERS)
        return [count.index_add(0, row_P * TIERS + tier_P, torch.ones_like(similarity_P)).view(-1, TIERS).log1p()]


class WithAttention(WithMore):
    """Target attention over the codes with ReLU scores (QIN, arXiv:2504.17699), pooled and times the target."""

    def prepare(self, params: CodeMatchParams) -> int:
        self.query, self.key, self.value = (
            xavier_linear(params.heads * params.codes, ATTENTION_HEADS * ATTENTION_WIDTH) for _ in range(3)
        )
        return ATTENTION_HEADS * (2 * ATTENTION_WIDTH + 1)

    def more(self, codes_UMC: Tensor, batch: Batch) -> list[Tensor]:
        codes = codes_UMC.flatten(1)
        shape = (ATTENTION_HEADS, ATTENTION_WIDTH)
        query, key, value = (layer(codes).unflatten(1, shape) for layer in (self.query, self.key, self.value))
        row_P = row_of_position(batch.offsets, len(batch.history))
        target = batch.target
        score_PA = F.relu((query[target][row_P] * key[batch.history]).sum(-1) / ATTENTION_WIDTH**0.5)
        pooled = value.new_zeros(len(batch), *shape).index_add(0, row_P, score_PA[..., None] * value[batch.history])
        strength = score_PA.new_zeros(len(batch), ATTENTION_HEADS).index_add(0, row_P, score_PA)
        clicks = batch.offsets.diff().to(pooled.dtype) + 1
        pooled = pooled / clicks[:, None, None]
        return [pooled.flatten(1), (pooled * value[target]).flatten(1), strength / clicks[:, None]]


class WithEveryCode(WithMore):
    """The clicks on each of the target's codes one by one, beside their sum."""

    def prepare(self, params: CodeMatchParams) -> int:
        return params.heads * params.codes

    def more(self, codes_UMC: Tensor, batch: Batch) -> list[Tensor]:
        codes = codes_UMC.flatten(1)
        clicks = F.embedding_bag(batch.history, codes, batch.offsets, mode="sum", include_last_offset=True)
        return [codes[batch.target] * clicks]


class WithLevels(WithMore):
    """The target's likes and views beside the matches."""

    def prepare(self, params: CodeMatchParams) -> int:
        self.levels = nn.ModuleList(embedding_table(LEVELS, LEVEL_WIDTH) for _ in range(2))
        return 2 * LEVEL_WIDTH

    def more(self, codes_UMC: Tensor, batch: Batch) -> list[Tensor]:
        likes, views = self.levels
        return [likes(batch.likes_level), views(batch.views_level)]

    def embedding_parameters(self) -> list[nn.Parameter]:
        return [*super().embedding_parameters(), *self.levels.parameters()]


class WithIds(CodeMatch):
    """Codes that an item's id decides too, beside its content."""

    def __init__(self, params: CodeMatchParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__(params, item_tags, item_embedding, tags)
        self.codes = IdCodes(params, item_tags, item_embedding, tags)

    def embedding_parameters(self) -> list[nn.Parameter]:
        return [*super().embedding_parameters(), *self.codes.item.parameters()]


class IdCodes(SoftCodes):
    def __init__(self, params: CodeMatchParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__(params, item_tags, item_embedding, tags)
        self.item = embedding_table(len(item_embedding), ID_WIDTH)
        self.hidden = xavier_linear(self.hidden.in_features + ID_WIDTH, params.width)

    def known(self, items_U: Tensor) -> list[Tensor]:
        return [*super().known(items_U), self.item(items_U)]


class WithoutSums(CodeMatch):
    """The matches as shares of the history and its length, not as sums."""

    kept = (1, 2)  # of CodeMatch.matches

    def __init__(self, params: CodeMatchParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__(params, item_tags, item_embedding, tags)
        features = params.heads + 1
        self.norm = nn.BatchNorm1d(features)
        self.head = mlp([features, *params.head_units], params.net_dropout)

    def matches(self, codes_UMC: Tensor, batch: Batch) -> list[Tensor]:
        found = super().matches(codes_UMC, batch)
        return [found[place] for place in self.kept]


class WithoutShares(WithoutSums):
    """The matches as sums and the history's length, not as shares."""

    kept = (0, 2)


class WithFixedCodes(CodeMatch):
    """Codes by residual k-means of the given embedding (arXiv:2504.02137), never trained, in place of learned ones."""

    def __init__(self, params: CodeMatchParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> None:
        super().__init__(params, item_tags, item_embedding, tags)
        residual = self.codes.content_table[1:].numpy().copy()
        table = torch.zeros(len(item_embedding), params.heads, params.codes)
        for head in range(params.heads):
            clusters = KMeans(min(params.codes, len(residual)), n_init=1, random_state=head).fit(residual)
            table[torch.arange(1, len(table)), head, torch.from_numpy(clusters.labels_).long()] = 1
            residual -= clusters.cluster_centers_[clusters.labels_]
        self.codes = FixedCodes(table)

    def embedding_parameters(self) -> list[nn.Parameter]:
        return []


class FixedCodes(nn.Module):
    """A frozen table of codes ``[N+1, M, C]``."""

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table, persistent=False)

    def forward(self, items_U: Tensor) -> Tensor:
        return self.table[items_U]


def without_tags(params: CodeMatchParams, item_tags: np.ndarray, item_embedding: np.ndarray, tags: int) -> CtrModel:
    return CodeMatch(params, np.zeros_like(item_tags), item_embedding, tags)


ABLATIONS: dict[str, Callable[[CodeMatchParams, np.ndarray, np.ndarray, int], CtrModel]] = {
    "without_tags": without_tags,
    "fixed_codes": WithFixedCodes,
    "with_tiers": WithTiers,
    "with_attention": WithAttention,
    "with_every_code": WithEveryCode,
    "with_levels": WithLevels,
    "with_ids": WithIds,
    "without_sums": WithoutSums,
    "without_shares": WithoutShares,
}
