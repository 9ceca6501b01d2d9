"""AUC on users drawn again with replacement, each with all their rows, and on seeds drawn again: the bootstrap.

Whatever is compared gets the same users and seeds. R rows, U users, S seeds, B resamples, C clicks, O others.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmctr_kedro.evaluation.metrics import auc

RESAMPLES = 1000
CHUNK = 125  # resamples at a time
MIDDLE = 95  # percent of the resamples that an interval holds
LEAST_USERS = 20  # fewer, drawn again, are too much alike: their interval would be narrower than the truth


@dataclass(frozen=True)
class Drawn:
    """A measure, and what it is on every resample, ``[B]``; NaN where that lacks a class."""

    value: float
    resampled: np.ndarray
    users: int  # whom it is of, however many more there are: as of ``Resamples.informing``

    @property
    def interval(self) -> list[float] | None:
        """Lower and upper end of the middle 95% of the resamples.

        None without any, and where it would mislead: of fewer than ``LEAST_USERS`` users.
        """
        if self.users < LEAST_USERS or not len(self.resampled):
            return None
        low, high = np.nanpercentile(self.resampled, [(100 - MIDDLE) / 2, (100 + MIDDLE) / 2])
        return [float(low), float(high)]

    def __sub__(self, other: Drawn) -> Drawn:
        return Drawn(self.value - other.value, self.resampled - other.resampled, min(self.users, other.users))


class Resamples:
    """How often each user and each seed occurs in every resample; the same for all models."""

    def __init__(self, user: np.ndarray, seeds: int = 1, count: int = RESAMPLES, seed: int = 0) -> None:
        """``user`` is ``[R]``, any integers; another ``seed`` is for other rows, which share no users."""
        rng = np.random.default_rng(seed)
        users, self.user = np.unique(user, return_inverse=True)
        self.users, self.count = len(users), count
        times = rng.multinomial(self.users, np.full(self.users, 1 / self.users), size=count)
        self.times_UB = np.ascontiguousarray(times.T.astype(np.uint8))
        self.seeds_BS = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=count)

    def of(self, rows: np.ndarray) -> Resamples:
        """The same resamples of some of the rows: ``[R]`` bool, or indices."""
        some = copy.copy(self)
        some.user = self.user[rows]
        return some

    def aucs(self, label: np.ndarray, score: np.ndarray) -> np.ndarray:
        """AUC of a prediction on every resample, ``[B]``, ties counted half; NaN where a resample lacks a class."""
        click, other = np.flatnonzero(label), np.flatnonzero(np.asarray(label) == 0)
        other = other[np.argsort(score[other], kind="stable")]
        # Rows are sorted once; a resample only changes how often each counts.
        below = np.searchsorted(score[other], score[click], side="left")
        not_above = np.searchsorted(score[other], score[click], side="right")
        found = [np.empty(0)]
        for times_UB in self._chunks():
            clicks_CB, others_OB = times_UB[self.user[click]], times_UB[self.user[other]]
            others_before = np.concatenate([np.zeros((1, times_UB.shape[1])), np.cumsum(others_OB, axis=0)])
            twice_right = np.einsum("cb,cb->b", clicks_CB, others_before[below] + others_before[not_above])
            with np.errstate(invalid="ignore"):
                found.append(twice_right / (2 * clicks_CB.sum(axis=0) * others_before[-1]))
        return np.concatenate(found)

    def auc(self, label: np.ndarray, score: np.ndarray) -> Drawn:
        """The AUC of a prediction, also on every resample."""
        return Drawn(auc(label, score), self.aucs(label, score), self.informing(label))

    def informing(self, label: np.ndarray) -> int:
        """How many users an AUC is of: those with a click or those with another row, whichever are fewer."""
        clicks, others = (np.unique(self.user[np.asarray(label) == kind]) for kind in (1, 0))
        return min(len(clicks), len(others))

    def means(self, value: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The weighted mean of a value of each user, ``[U]``, on every resample: ``[B]``; NaN counts nowhere."""
        known = np.isfinite(value)
        sums_U2 = np.column_stack([weight * value, weight])[known]
        found = [np.empty((2, 0))]
        found += [np.einsum("us,ub->sb", sums_U2, times_UB[known]) for times_UB in self._chunks()]
        total, weights = np.concatenate(found, axis=1)
        with np.errstate(invalid="ignore"):
            return total / weights

    def _chunks(self) -> Iterator[np.ndarray]:
        """``times_UB`` as float64, ``CHUNK`` resamples at a time."""
        for start in range(0, self.count, CHUNK):
            yield self.times_UB[:, start : start + CHUNK].astype(np.float64)
