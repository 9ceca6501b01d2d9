"""From ``Clicks`` (a split on disk) to ``Batch``, by whole-array numpy: no padding, no per-row Python."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch

from mmctr_kedro.data.clicks import Batch, Clicks
from mmctr_kedro.data.jagged import offsets_of, positions


def epoch_order(rows: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits the rows: ``[rows]`` int64, a function of seed and epoch alone."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def cut(rows: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Cut row numbers into batches; none is dropped.

    A last batch of one row joins the one before, since batch norm cannot be fitted to a single row.
    """
    edges = [*range(0, len(rows), batch_size), len(rows)]
    if len(edges) > 2 and edges[-1] - edges[-2] == 1:
        edges.pop(-2)
    return [rows[start:stop] for start, stop in pairwise(edges)]


def parts_of(rows: np.ndarray, parts: int) -> list[np.ndarray]:
    """Cut a batch's rows into so many parts, or as many as leaves each two rows, for batch norm."""
    return np.array_split(rows, max(1, min(parts, len(rows) // 2)))


def batches_after(done: int, rows: int, batch_size: int, seed: int, epochs: int) -> Iterator[tuple[int, np.ndarray]]:
    """The batches of a training after its first ``done`` steps: epoch (from 1) and row numbers of each."""
    per_epoch = steps_per_epoch(rows, batch_size)
    for epoch in range(done // per_epoch + 1, epochs + 1):
        batches = cut(epoch_order(rows, seed, epoch), batch_size)
        for batch in batches[max(0, done - (epoch - 1) * per_epoch) :]:
            yield epoch, batch


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """How many batches ``cut`` makes."""
    return len(cut(np.empty(rows, np.bool_), batch_size))


def make_batch(
    clicks: Clicks,
    rows: np.ndarray,
    device: torch.device | str = "cpu",
    max_history: int | None = None,
    share: slice | None = None,
) -> Batch:
    """Gather some rows of a split.

    Args:
        clicks: The split.
        rows: ``[B]`` int64 row numbers, in the order wanted.
        device: Where the tensors go.
        max_history: Newest clicks kept of each history; None: all.
        share: Which of the rows to gather where other processes gather the others; None: all.
    """
    in_all, rows = rows, rows if share is None else rows[share]
    history = clicks.history[rows]
    begin, end = clicks.history_offsets[history], clicks.history_offsets[history + 1]
    if max_history is not None:
        begin = np.maximum(begin, end - max_history)
    length = end - begin
    items, index = _distinct(np.concatenate([clicks.item[rows], clicks.history_items[positions(begin, length)]]))

    def tensor(array: np.ndarray, dtype: type = np.int64) -> torch.Tensor:
        return torch.from_numpy(array.astype(dtype, copy=False)).to(device)

    return Batch(
        items=tensor(items),
        target=tensor(index[: len(rows)]),
        history=tensor(index[len(rows) :]),
        offsets=tensor(offsets_of(length)),
        likes_level=tensor(clicks.likes_level[rows]),
        views_level=tensor(clicks.views_level[rows]),
        label=None if clicks.label is None else tensor(clicks.label[rows], np.float32),
        share=None if share is None or clicks.label is None else (share, tensor(clicks.label[in_all], np.float32)),
    )


def _distinct(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``np.unique(ids, return_inverse=True)`` without its sort, where a table of all ids is small enough for that."""
    if ids.max() > 16 * len(ids):
        return np.unique(ids, return_inverse=True)
    there = np.zeros(ids.max() + 1, np.bool_)
    there[ids] = True
    distinct = np.flatnonzero(there)
    place = np.empty(len(there), np.int64)  # only read where written
    place[distinct] = np.arange(len(distinct))
    return distinct, place[ids]
