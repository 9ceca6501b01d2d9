"""Pairs of items that a user clicked one soon after the other: what contrastive towers and tuned encoders learn from.

P pairs.
"""

from __future__ import annotations

import numpy as np

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.encoders.settings import FinetuneParams
from mmctr_kedro.fusion.settings import BehaviourContrastiveParams

Pairs = np.ndarray  # [P, 2] int64, item ids 1..N
WATCHED_BATCHES = 8  # of held-out pairs, after every epoch


def pairs_of(train: Clicks, settings: BehaviourContrastiveParams | FinetuneParams) -> tuple[Pairs, Pairs]:
    """Clicks of one user at most ``window`` apart, older first: those to learn from, and those of held-out users.

    A train row that was clicked comes after its history. No pair is of one item with itself, and none comes twice
    for one user, however many histories of the same clicks a log has of that user.
    """
    clicks = np.diff(train.history_offsets)
    owner = np.repeat(np.arange(len(clicks)), clicks)
    rows = np.flatnonzero(np.asarray(train.label) == 1)
    begin, end = (train.history_offsets[:-1][train.history[rows]], train.history_offsets[1:][train.history[rows]])
    older, newer, history = [], [], []
    for lag in range(1, settings.window + 1):
        together = owner[lag:] == owner[:-lag]
        older.append(train.history_items[:-lag][together])
        newer.append(train.history_items[lag:][together])
        history.append(owner[lag:][together])
        reached = end - lag >= begin
        older.append(train.history_items[end[reached] - lag])
        newer.append(train.item[rows[reached]])
        history.append(train.history[rows[reached]])
    users, user = np.unique(train.history_user, return_inverse=True)
    found = np.stack([user[np.concatenate(history)], np.concatenate(older), np.concatenate(newer)], axis=1)
    found = np.unique(found[found[:, 1] != found[:, 2]].astype(np.int64), axis=0)
    stops = (np.random.default_rng(settings.seed).random(len(users)) < settings.held_out)[found[:, 0]]
    return found[~stops, 1:], found[stops, 1:]


def some_pairs(pairs: Pairs, most: int, rng: np.random.Generator) -> Pairs:
    """At most so many of the pairs, drawn without putting back."""
    return pairs[rng.choice(len(pairs), min(most, len(pairs)), replace=False, shuffle=False)]
