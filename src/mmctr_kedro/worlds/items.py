"""The items of a world: latent theme and style, popularity, levels, and which are new after training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmctr_kedro.worlds.settings import WorldParams, generator

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
    theme, style = (_balanced_groups(popularity, groups, rng) for groups in (params.themes, params.styles))
    # New are items of the less popular half at random, until their popularity adds up to the share asked for.
    candidates = rng.permutation(np.flatnonzero(popularity <= np.median(popularity)))
    is_new = np.zeros(params.items, dtype=bool)
    is_new[candidates[np.cumsum(popularity[candidates]) <= params.new_share]] = True
    # The pool of negatives: each item is as likely in it as any other.
    in_pool = generator(params.seed, "pool").permutation(params.items) < round(params.pool_share * params.items)
    levels = []  # tenths of the items by rank, as levels 1 (least popular) to 10
    for noise in (params.likes_noise, params.views_noise):
        noisy = log_popularity + rng.normal(0.0, noise, params.items)
        rank = np.argsort(np.argsort(noisy, kind="stable"), kind="stable")
        levels.append(1 + rank * LEVELS // params.items)
    return Items(theme, style, popularity, appeal / appeal.sum(), is_new, in_pool, *levels)


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
