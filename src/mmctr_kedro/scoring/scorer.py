"""Any histories and candidates scored by a trained model, with items it never saw, and without the leak.

In use an item has its own levels. A row of the challenge's files may carry another's, by its label (docs/world.md): a
model that reads that predicts challenge files and nothing else. Light to import: torch comes with a ``Scorer``.

H histories, R rows to score, N items, M new ones.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.words import some
from mmctr_kedro.data.clicks import LEVELS, Clicks
from mmctr_kedro.data.jagged import offsets_of, strip_padding
from mmctr_kedro.models import TrainedModel, restore_model
from mmctr_kedro.models.settings import CtrParams

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 1024  # candidates of a history

Histories: TypeAlias = "Sequence[Sequence[int] | np.ndarray] | pa.Array"


class Scorer:
    """A trained model on its items: pCTR of candidates, and the best of them.

    Args:
        model: One that reads no leak: ``{task}.leak_free_model`` of a run, or what ``leave_out_the_leak`` gives.
        item_tags: ``[N+1, 5]`` int32, 0 = no tag, row 0 zeros; as the model was trained with.
        item_embedding: ``[N+1, D]`` float32, row 0 zeros; likewise.
        item_levels: ``[N+1, 2]`` int8, each item's own likes and views level 0..10 (``own_levels``). None: a model that
            reads none.

    Raises:
        MmctrError: The model may read the leak, or reads levels that are not given, or the tables do not fit it.
    """

    def __init__(
        self,
        model: TrainedModel,
        item_tags: np.ndarray,
        item_embedding: np.ndarray,
        item_levels: np.ndarray | None = None,
    ) -> None:
        from mmctr_kedro.common.machine import reproducible

        self.params = CtrParams(**model.settings["ctr"])
        if "leak_free" not in model.settings:
            raise MmctrError(
                f"This {self.params.model.name} may read the levels' leak, which is not there in use: score with "
                "leak_free_model.safetensors, which lies beside ctr_model.safetensors, or with what "
                "mmctr_kedro.leave_out_the_leak makes of it."
            )
        self._reads_levels = self.params.model.without_leak() != self.params.model
        self._tags, self._width = model.settings["tags"], model.settings["embedding_width"]
        self.item_levels = self._checked_levels(item_levels, len(item_embedding), first=0)
        self._parts: Any = None  # what the network makes of the items alone, at the first ranking
        with reproducible(self.params) as device:
            self.network = restore_model(model, item_tags, item_embedding).to(device).eval()

    @property
    def items(self) -> int:
        """N: the largest item id it knows."""
        return len(self.item_levels) - 1

    def add_items(
        self, item_tags: np.ndarray, item_embedding: np.ndarray, item_levels: np.ndarray | None = None
    ) -> np.ndarray:
        """Take items that training never saw, known by these alone; shapes as for the constructor, without row 0.

        Returns:
            Their ids, ``[M]`` int64: N+1, N+2, ...

        Raises:
            MmctrError: Rows that do not fit the model, by their number.
        """
        tags, embedding = np.atleast_2d(item_tags), np.atleast_2d(item_embedding)
        known = self._width
        if embedding.shape != (len(tags), known) or not np.isfinite(embedding).all():
            bad = np.flatnonzero(~np.isfinite(embedding).all(axis=1))
            where = f", not finite in rows {some(bad.tolist())}" if len(bad) else ""
            raise MmctrError(f"New items: embedding {list(embedding.shape)}{where}; expected [{len(tags)}, {known}].")
        if len(bad := np.flatnonzero(((tags < 0) | (tags >= self._tags)).any(axis=1))):
            raise MmctrError(
                f"New items: a tag in rows {some(bad.tolist())} is none of 0..{self._tags - 1}, which are trained."
            )
        levels = self._checked_levels(item_levels, len(tags), first=self.items + 1)
        self.network.add_items(tags, embedding)
        self._parts = None
        self.item_levels = np.concatenate([self.item_levels, levels])
        return np.arange(len(self.item_levels) - len(tags), len(self.item_levels))

    def score(self, histories: Histories, items: np.ndarray, history: np.ndarray | None = None) -> np.ndarray:
        """The probability of a click for every row.

        Args:
            histories: H lists of item ids, oldest click first; they may be empty, and of any length (the newest
                ``max_history`` count).
            items: ``[R]`` int, the candidate of each row.
            history: ``[R]`` int, which history a row belongs to. None: row i to history i.

        Returns:
            ``[R]`` float32 in [0, 1]; bit for bit what ``predict`` gives of the same rows.

        Raises:
            MmctrError: Ids that are no item's, by their row.
        """
        offsets, clicked = _flat(histories)
        items = np.asarray(items, np.int64)
        history = np.arange(len(items)) if history is None else np.asarray(history, np.int64)
        self._refuse_unknown(clicked, "history", offsets)
        self._refuse_unknown(items, "candidates")
        if len(history) != len(items) or (len(items) and not 0 <= history.min() <= history.max() < len(offsets) - 1):
            raise MmctrError(
                f"{len(items)} candidates belong to {len(history)} histories of {len(offsets) - 1}: expected one for "
                "each candidate; say by `history` which, counted from 0."
            )
        return self._predict(offsets, clicked, items, history)

    def rank(self, histories: Histories, k: int = 10, among: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The k most likely clicks after each history, best first; equal scores by id.

        Args:
            histories: As for ``score``.
            k: At most as many as there are candidates.
            among: ``[C]`` int, the candidates. None: all items.

        Returns:
            ids ``[H, k]`` int64 and their pCTR ``[H, k]`` float32, within 1e-6 of what ``score`` gives.
        """
        offsets, clicked = _flat(histories)
        self._refuse_unknown(clicked, "history", offsets)
        candidates = np.arange(1, self.items + 1) if among is None else np.unique(among)
        self._refuse_unknown(candidates, "among")
        best = np.empty((len(offsets) - 1, min(k, len(candidates))), np.int64)
        scores = np.empty(best.shape, np.float32)
        for user, (start, stop) in enumerate(pairwise(offsets)):
            pctr = self._after(clicked[start:stop], candidates)
            order = np.argsort(-pctr, kind="stable")[: best.shape[1]]
            best[user], scores[user] = candidates[order], pctr[order]
        return best, scores

    def score_candidates(
        self, history: Sequence[int] | np.ndarray, candidates: Sequence[int] | np.ndarray, until: float = math.inf
    ) -> np.ndarray:
        """The probability of a click for many candidates of one user: the history is encoded once, items once for all.

        Args:
            history: ``[P]`` int, as a list of ``score``.
            candidates: ``[C]`` int, in any order.
            until: When to give up, by ``time.monotonic``; looked at before every 1,024 candidates.

        Returns:
            ``[C]`` float32, within 1e-6 of what ``score`` gives.

        Raises:
            MmctrError: Ids that are no item's, by their place.
            TimeoutError: It was given up.
        """
        _, clicked = _flat([history])
        candidates = np.asarray(candidates, np.int64)
        self._refuse_unknown(clicked, "history")
        self._refuse_unknown(candidates, "candidates")
        return self._after(clicked, candidates, until)

    def score_table(self, table: pd.DataFrame | pa.Table, name: str = "the table", first: int = 0) -> np.ndarray:
        """The same for a table with ``item_seq``, a list of ids in each row, and ``item_id``, as in the challenge.

        Zeros in ``item_seq`` are padding, on either side. Levels of the rows are not read: items have their own.
        For errors: the table's ``name``, and the number of its ``first`` row where it is a part of a longer one.
        """
        columns = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table, preserve_index=False)
        if missing := [column for column in ("item_seq", "item_id") if column not in columns.column_names]:
            raise MmctrError(f"{name} has no {' and no '.join(missing)}; it has {', '.join(columns.column_names)}.")
        offsets, clicked = _flat(columns["item_seq"].combine_chunks())
        items = columns["item_id"].to_numpy().astype(np.int64)
        self._refuse_unknown(clicked, f"{name}: item_seq,", offsets, first)
        self._refuse_unknown(items, f"{name}: item_id,", first=first)
        return self._predict(offsets, clicked, items, np.arange(len(items)))

    def _predict(self, offsets: np.ndarray, clicked: np.ndarray, items: np.ndarray, history: np.ndarray) -> np.ndarray:
        from mmctr_kedro.common.machine import reproducible
        from mmctr_kedro.training.loop import predict

        with reproducible(self.params):
            return predict(self.network, self._rows(offsets, clicked, items, history), self.params)

    def _rows(self, offsets: np.ndarray, clicked: np.ndarray, items: np.ndarray, history: np.ndarray) -> Clicks:
        """Rows that carry their items' own levels."""
        likes_level, views_level = self.item_levels[items].T
        return Clicks(
            history_user=np.arange(len(offsets) - 1),
            history_offsets=offsets,
            history_items=clicked,
            history=history,
            item=items,
            likes_level=likes_level,
            views_level=views_level,
            row_id=np.arange(len(items)),
        )

    def _after(self, clicked: np.ndarray, candidates: np.ndarray, until: float = math.inf) -> np.ndarray:
        """pCTR of candidates after one history, ``[C]`` float32."""
        import torch

        from mmctr_kedro.common.machine import reproducible
        from mmctr_kedro.training.batches import make_batch
        from mmctr_kedro.training.steps import autocast

        with reproducible(self.params) as device, torch.inference_mode(), autocast(self.params, device):
            if self._parts is None:
                every = np.arange(self.items + 1)
                rows = self._rows(np.zeros(2, np.int64), every[:0], every, np.zeros_like(every))
                self._parts = self.network.item_parts(make_batch(rows, every, device))
            clicks = torch.from_numpy(clicked[-self.params.max_history :]).to(device)
            pctr = np.empty(len(candidates), np.float32)
            for start in range(0, len(candidates), AT_ONCE):
                if time.monotonic() > until:
                    raise TimeoutError
                some = torch.from_numpy(candidates[start : start + AT_ONCE]).to(device)
                pctr[start : start + len(some)] = self.network.after(clicks, some, self._parts).sigmoid().cpu()
        return pctr

    def _checked_levels(self, levels: np.ndarray | None, rows: int, first: int) -> np.ndarray:
        """Levels of items from id ``first`` on; zeros where none are needed."""
        if levels is None:
            if self._reads_levels:
                raise MmctrError(
                    f"This {self.params.model.name} reads levels: give item_levels, likes and views level of each item."
                )
            return np.zeros((rows, 2), np.int8)
        levels = np.atleast_2d(levels)
        if levels.shape != (rows, 2):
            raise MmctrError(f"item_levels is {list(levels.shape)}; expected [{rows}, 2], likes and views.")
        if len(bad := np.flatnonzero(((levels < 0) | (levels >= LEVELS)).any(axis=1))):
            raise MmctrError(
                f"item_levels of items {some((first + bad).tolist())}: expected 0..{LEVELS - 1}, 0 where unknown."
            )
        return levels.astype(np.int8)

    def _refuse_unknown(self, ids: np.ndarray, what: str, offsets: np.ndarray | None = None, first: int = 0) -> None:
        if len(bad := np.flatnonzero((ids < 1) | (ids > self.items))):
            row = bad[0] if offsets is None else np.searchsorted(offsets, bad[0], "right") - 1
            raise MmctrError(
                f"{what} row {first + row}: {ids[bad[0]]} is no item; known are 1..{self.items} ({len(bad)} such ids "
                "in all). Give new items to add_items first."
            )


def _flat(histories: Histories) -> tuple[np.ndarray, np.ndarray]:
    """Offsets ``[H + 1]`` int64 and items; zeros, which are padding, left out."""
    if isinstance(histories, pa.Array | pa.ChunkedArray):
        lists = pa.concat_arrays(histories.chunks) if isinstance(histories, pa.ChunkedArray) else histories
        lists = lists.cast(pa.large_list(pa.int64()))
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
        offsets, flat = offsets_of(lengths), lists.flatten().to_numpy()
    else:
        offsets = offsets_of(np.array([len(history) for history in histories], np.int64))
        flat = np.concatenate([np.empty(0, np.int64), *map(np.asarray, histories)]).astype(np.int64)
    return strip_padding(flat, offsets, np.int64)  # of ids that nobody has checked
