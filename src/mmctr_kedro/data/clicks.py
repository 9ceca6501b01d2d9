"""The tensors and arrays everybody shares: ``Clicks`` (a split on disk) and ``Batch`` (what a model sees)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

LEVELS = 11  # likes_level and views_level: 0 (unknown) .. 10


@dataclass(frozen=True)
class Clicks:
    """One split: R target rows over H distinct (user, history) pairs; histories jagged, oldest click first.

    History h is ``history_items[history_offsets[h]:history_offsets[h + 1]]``; it may be empty.
    Arrays may be memory maps and are never written to. Rows keep the order of the raw file.
    """

    history_user: np.ndarray  # [H] int32
    history_offsets: np.ndarray  # [H + 1] int64, first 0
    history_items: np.ndarray  # [sum of lengths] int32, item ids 1..N
    history: np.ndarray  # [R] int32, the history each row belongs to
    item: np.ndarray  # [R] int32, target item id
    likes_level: np.ndarray  # [R] int8, 0..10
    views_level: np.ndarray  # [R] int8, 0..10
    row_id: np.ndarray  # [R] int64: the test file's ID; the row number in train and valid
    label: np.ndarray | None = None  # [R] int8, 1 = click; None for test

    def __len__(self) -> int:
        return len(self.item)

    def digest(self) -> str:
        """SHA-256 of every array: equal for equal rows over equal histories."""
        return digest(**{name: array for name, array in vars(self).items() if array is not None})

    @property
    def user(self) -> np.ndarray:
        """User id of every row: ``[R]`` int32."""
        return self.history_user[self.history]

    @property
    def history_length(self) -> np.ndarray:
        """Clicks in the history of every row: ``[R]`` int64."""
        return np.diff(self.history_offsets)[self.history]


def own_levels(item_content: pd.DataFrame, train: Clicks) -> np.ndarray:
    """Likes and views level of every item, ``[N + 1, 2]`` int8, row 0 zeros; 0 where nothing says it.

    Those of ``item_content`` (one row per item, ascending, ids 1..N). Where that knows none, as without
    item_feature.parquet, the pair that most of an item's clicked train rows carry, as a click carries its own item's
    under every law we know.
    """
    own = np.zeros((len(item_content) + 1, 2), np.int8)
    own[1:] = item_content[["likes_level", "views_level"]].to_numpy(np.int8)
    if own.any() or train.label is None:
        return own
    clicked = train.label == 1
    pair = train.likes_level[clicked].astype(np.int64) * LEVELS + train.views_level[clicked]
    shown, rows = np.unique(train.item[clicked].astype(np.int64) * LEVELS**2 + pair, return_counts=True)
    shown = shown[np.argsort(rows, kind="stable")]  # the most frequent pair of an item is written last
    own[shown // LEVELS**2] = np.column_stack(np.divmod(shown % LEVELS**2, LEVELS))
    return own


@dataclass(frozen=True)
class Batch:
    """B rows as tensors. Only real clicks are here: P history positions in all, U distinct items.

    Models look items up once per distinct item and then index with ``target`` and ``history``.
    """

    items: Tensor  # [U] int64, distinct item ids of the batch, ascending
    target: Tensor  # [B] int64, index into items
    history: Tensor  # [P] int64, index into items; oldest click first within a row
    offsets: Tensor  # [B + 1] int64, row b owns positions offsets[b]:offsets[b + 1]
    likes_level: Tensor  # [B] int64
    views_level: Tensor  # [B] int64
    label: Tensor | None = None  # [B] float32
    # Of a batch that several processes share: where these rows stand in it, and the labels of all. None: these are all.
    share: tuple[slice, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def whole_label(self) -> Tensor:
        """The labels of the rows of all processes."""
        label = self.share[1] if self.share else self.label
        assert label is not None
        return label

    def whole(self, x_B: Tensor) -> Tensor:
        """``x_B`` of the rows of all processes, in the batch's order; its gradient is of these rows."""
        if self.share is None:
            return x_B
        from mmctr_kedro.common.ranks import whole

        return whole(x_B, self.share[0], len(self.share[1]))


def digest(**arrays: np.ndarray) -> str:
    """SHA-256 over names, dtypes, shapes and contents, in order."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(f"{name} {array.dtype} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()
