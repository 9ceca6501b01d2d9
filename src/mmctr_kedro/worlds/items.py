"""The items of a world: latent theme and style, popularity, levels, and which are new after training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmctr_kedro.common.params import WorldParams
from mmctr_kedro.worlds.randomness import generator

LEVELS = 10


@dataclass(frozen=True)
class Items:
    """The latent side of N items; position i is item id i + 1. Never written to the data set."""

    theme: np.ndarray  # [N] int64, shown only in title words and tags
    style: np.ndarray  # [N] int64, shown only in the cover
    popularity: np.ndarray  # [N] float64, sums to 1
    appeal: np.ndarray  # [N] float64, sums to 1: what draws clicks, before interest
    is_new: np.ndarray  # [N] bool, True = no train user ever meets it
    in_pool: np.ndarray  # [N] bool: what negatives of law pool are drawn from
    likes_level: np.ndarray  # [N] int64, 1..10
    views_level: np.ndarray  # [N] int64, 1..10

    @property
    def levels(self) -> np.ndarray:
        """Both levels as one number: ``[N]`` int64, below ``LEVELS ** 2``."""
        return (self.likes_level - 1) * LEVELS + self.views_level - 1

    def __len__(self) -> int:
        return len(self.theme)


def draw_items(params: WorldParams) -> Items:
    """Draw the latent side of all items."""
    rng = generator(params.seed, "items")
    log_popularity = rng.normal(0.0, params.popularity_spread, params.items)
    popularity = np.exp(log_popularity)
    popularity /= popularity.sum()
    appeal = popularity**params.appeal_exponent
    return Items(
        theme=_balanced_groups(popularity, params.themes, rng),
        style=_balanced_groups(popularity, params.styles, rng),
        popularity=popularity,
        appeal=appeal / appeal.sum(),
        is_new=_new_items(popularity, params.new_share, rng),
        in_pool=_pool(params),
        likes_level=_levels(log_popularity + rng.normal(0.0, params.likes_noise, params.items)),
        views_level=_levels(log_popularity + rng.normal(0.0, params.views_noise, params.items)),
    )


def _balanced_groups(popularity: np.ndarray, groups: int, rng: np.random.Generator) -> np.ndarray:
    """Deal items of like popularity out over all groups.

    Groups of unequal popularity would let popularity predict clicks even against negatives drawn by
    popularity: interests are even over groups, so a big group is clicked less than its popularity says.
    """
    blocks = -(-len(popularity) // groups)
    dealt = rng.permuted(np.tile(np.arange(groups), (blocks, 1)), axis=1).ravel()[: len(popularity)]
    group = np.empty(len(popularity), dtype=np.int64)
    group[np.argsort(-popularity, kind="stable")] = dealt
    return group


def _new_items(popularity: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Choose items of the less popular half at random until their popularity adds up to ``share``."""
    candidates = rng.permutation(np.flatnonzero(popularity <= np.median(popularity)))
    chosen = candidates[np.cumsum(popularity[candidates]) <= share]
    is_new = np.zeros(len(popularity), dtype=bool)
    is_new[chosen] = True
    return is_new


def _pool(params: WorldParams) -> np.ndarray:
    """So many items as ``pool_share`` says, each as likely as any other."""
    rank = generator(params.seed, "pool").permutation(params.items)
    return rank < round(params.pool_share * params.items)


def _levels(noisy_log_popularity: np.ndarray) -> np.ndarray:
    """Tenths of the items by rank, as levels 1 (least popular) to 10."""
    rank = np.argsort(np.argsort(noisy_log_popularity, kind="stable"), kind="stable")
    return 1 + rank * LEVELS // len(rank)
