"""AUC on users drawn again with replacement, each with all their rows, and on seeds drawn again: the bootstrap.

Whatever is compared gets the same users and seeds. R rows, U users, S seeds, B resamples, C clicks, O others.
"""

from __future__ import annotations

import copy

import numpy as np

CHUNK = 125  # resamples at a time
MIDDLE = 95  # percent of the resamples that an interval holds
LEAST_USERS = 10  # fewer, drawn again, are too much alike: their interval would be narrower than the truth
LEAST_SHARE = 0.95  # of the resamples must have a value


class Resamples:
    """How often each user and each seed occurs in every resample; the same for all models."""

    def __init__(self, user: np.ndarray, seeds: int, count: int = 2000, seed: int = 0) -> None:
        """``user`` is ``[R]``, any integers."""
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
        found = []
        for start in range(0, self.count, CHUNK):
            times_UB = self.times_UB[:, start : start + CHUNK].astype(np.float64)
            clicks_CB, others_OB = times_UB[self.user[click]], times_UB[self.user[other]]
            others_before = np.concatenate([np.zeros((1, times_UB.shape[1])), np.cumsum(others_OB, axis=0)])
            twice_right = np.einsum("cb,cb->b", clicks_CB, others_before[below] + others_before[not_above])
            with np.errstate(invalid="ignore"):
                found.append(twice_right / (2 * clicks_CB.sum(axis=0) * others_before[-1]))
        return np.concatenate(found)

    def means(self, value: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The weighted mean of a value of each user, ``[U]``, on every resample: ``[B]``; NaN counts nowhere."""
        known = np.isfinite(value)
        weight_BU = self.times_UB[known].T * weight[known]
        with np.errstate(invalid="ignore"):
            return (weight_BU * value[known]).sum(axis=1) / weight_BU.sum(axis=1)

    def interval(self, values: np.ndarray) -> list[float] | None:
        """Lower and upper end of the middle 95% of values ``[B]``, as of ``aucs``, leaving NaN out.

        None where it would mislead: of fewer than ``LEAST_USERS`` users, or where more than a twentieth of the values
        are NaN, as resamples lack a class.
        """
        known = np.isfinite(values)
        if len(np.unique(self.user)) < LEAST_USERS or known.mean() < LEAST_SHARE:
            return None
        low, high = np.percentile(values[known], [(100 - MIDDLE) / 2, (100 + MIDDLE) / 2])
        return [float(low), float(high)]
