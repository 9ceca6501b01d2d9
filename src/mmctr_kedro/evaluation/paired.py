"""Whether predictions differ: AUC and its slices on the same users drawn again, for each of them and for differences.

The bootstrap draws users with replacement, each with all their rows, and takes the same users for every prediction of
the same rows: what makes rows easy or hard for all cancels out. R rows, B resamples.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation.bootstrap import Resamples
from mmctr_kedro.evaluation.metrics import auc, even_parts
from mmctr_kedro.evaluation.slices import HISTORY_EDGES, POPULARITY_PARTS, UNSEEN, bucket_name, train_clicks

RESAMPLES = 2000
FEWEST = 20  # clicks of a slice, and others: the AUC of fewer is luck
LENGTH, POPULARITY = "clicks in the history", "clicks on the item in train"


@dataclass(frozen=True, eq=False)  # two are the same rows if they are one object
class Rows:
    """The valid rows that predictions are compared on; all ``[R]``."""

    label: np.ndarray  # 1 = click
    user: np.ndarray  # any integers
    slices: dict[tuple[str, str], np.ndarray]  # by what the rows are cut and the bucket: bool


@dataclass(frozen=True)
class Drawn:
    """An AUC and what it is on every resample, ``[B]``; NaN where that lacks a class."""

    auc: float
    resampled: np.ndarray

    def interval(self) -> tuple[float, float]:
        """Between these lie 95 % of the resamples."""
        low, high = np.nanpercentile(self.resampled, [2.5, 97.5])
        return float(low), float(high)

    def __sub__(self, other: Drawn) -> Drawn:
        return Drawn(self.auc - other.auc, self.resampled - other.resampled)


def rows_of(valid: Clicks, train: Clicks) -> Rows:
    """The valid rows, cut by length of the history and by clicks on the item in train, as the reports cut them."""
    length = np.searchsorted(HISTORY_EDGES, valid.history_length, side="right") - 1
    popularity = train_clicks(train, valid.item)
    seen, tenth = popularity >= 0, np.full(len(valid), -1)
    tenth[seen] = even_parts(popularity[seen], POPULARITY_PARTS)
    slices = {(LENGTH, bucket_name(HISTORY_EDGES, number)): length == number for number in np.unique(length)}
    for number in np.unique(tenth):
        within = popularity[tenth == number]
        ends = dict.fromkeys([str(within.min()), str(within.max())])  # one where they are the same
        slices[POPULARITY, "-".join(ends) if number >= 0 else UNSEEN] = tenth == number
    return Rows(np.asarray(valid.label), np.asarray(valid.user), slices)


def resamples(rows: Rows, seed: int = 0) -> Resamples:
    """The users of these rows drawn again; another ``seed`` for other rows, which share no users."""
    return Resamples(rows.user, 1, RESAMPLES, seed)


def draw(rows: Rows, score: np.ndarray, drawn: Resamples, chosen: np.ndarray | None = None) -> Drawn:
    """The AUC of a prediction ``[R]``, also on every resample, of all rows or of those ``chosen`` (bool)."""
    if chosen is None:
        return Drawn(auc(rows.label, score), drawn.aucs(rows.label, score))
    within = copy.copy(drawn)
    within.user = drawn.user[chosen]
    label, score = rows.label[chosen], score[chosen]
    return Drawn(auc(label, score), within.aucs(label, score))


def enough(rows: Rows, chosen: np.ndarray) -> bool:
    """Whether a slice has the clicks and the others that an interval needs."""
    clicks = int(rows.label[chosen].sum())
    return min(clicks, int(chosen.sum()) - clicks) >= FEWEST
