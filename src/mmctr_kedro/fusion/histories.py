"""Histories to learn from, those of train or every one published, and the pairs of neighbouring clicks in them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow.compute as pc

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import HISTORY_WIDTH, PATHS, RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.jagged import keep_newest, offsets_of, strip_padding
from mmctr_kedro.data.parquet import read_columns
from mmctr_kedro.encoders.settings import FinetuneParams
from mmctr_kedro.fusion.settings import BehaviourContrastiveParams, TowerParams

Pairs = np.ndarray  # [P, 2] int64, item ids 1..N
WATCHED_BATCHES = 8  # of held-out pairs, after every epoch


def with_published(train: Clicks, folder: RawFolder) -> Clicks:
    """Train, and beside it every history of item_seq.parquet, of users without train rows too.

    item_seq has histories and no labels. The rows, and so what was clicked after a history, stay those of train.

    Args:
        folder: The challenge's files, already checked by ``data_processing``.
    """
    path = folder.file("item_seq")
    if not path.is_file():
        raise MmctrError(
            f"embedding.histories is 'published', but {PATHS['item_seq']} is not in {folder.path}. Fetch it, or learn "
            "from train alone: --params embedding.histories=train"
        )
    table = read_columns(path, ["user_id", "item_seq"])
    padded = offsets_of(pc.list_value_length(table["item_seq"]).to_numpy())
    items = pc.list_flatten(table["item_seq"]).to_numpy()
    offsets, items = keep_newest(*strip_padding(items, padded), HISTORY_WIDTH)
    return dataclasses.replace(
        train,
        history_user=np.concatenate([train.history_user, table["user_id"].to_numpy().astype(np.int32)]),
        history_offsets=np.concatenate([train.history_offsets, train.history_offsets[-1] + offsets[1:]]),
        history_items=np.concatenate([train.history_items, items]),
    )


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
    found = np.stack(
        [train.history_user[np.concatenate(history)], np.concatenate(older), np.concatenate(newer)], axis=1
    )
    found = np.unique(found[found[:, 1] != found[:, 2]].astype(np.int64), axis=0)
    stops = np.isin(found[:, 0], held_out_users(train.history_user, settings))
    return found[~stops, 1:], found[stops, 1:]


def held_out_users(user: np.ndarray, settings: TowerParams | FinetuneParams) -> np.ndarray:
    """Of the users of ``user`` those who decide when to stop, drawn by the seed."""
    users = np.unique(user)
    return users[np.random.default_rng(settings.seed).random(len(users)) < settings.held_out]


def some_pairs(pairs: Pairs, most: int, rng: np.random.Generator) -> Pairs:
    """At most so many of the pairs, drawn without putting back."""
    return pairs[rng.choice(len(pairs), min(most, len(pairs)), replace=False, shuffle=False)]
