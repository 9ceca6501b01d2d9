"""Independent random streams, one per part of a world, so that no part moves another."""

from __future__ import annotations

import numpy as np

PARTS = (
    "items",
    "titles",
    "tags",
    "covers",
    "cover_noise",
    "user_ids",
    "train",
    "valid",
    "test",
    "silent",
    "item_info",
    "pool",
    "levels_shown",
)


def generator(seed: int, part: str, chunk: int = 0) -> np.random.Generator:
    """The stream of one part, and of one chunk of it: the same numbers whatever else is drawn."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(PARTS.index(part), chunk))))
