"""Whether one model beats another: the paired difference of AUC over seeds, with a bootstrap interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmctr_kedro.evaluation.bootstrap import Resamples


@dataclass(frozen=True)
class Difference:
    """Of AUCs, ours minus the other's, mean over seeds."""

    mean: float
    low: float
    high: float  # 95 %: percentiles 2.5 and 97.5 of the resamples
    by_seed: list[float]

    @property
    def excludes_zero(self) -> bool:
        return not self.low <= 0 <= self.high


def difference(
    drawn: Resamples, point_ours: np.ndarray, point_other: np.ndarray, ours_BS: np.ndarray, other_BS: np.ndarray
) -> Difference:
    """From AUCs by seed, ``[S]``, and by resample and seed, ``[B, S]``, of both models."""
    by_seed = np.asarray(point_ours) - np.asarray(point_other)
    resampled = ((ours_BS - other_BS) * drawn.seeds_BS).sum(axis=1) / drawn.seeds_BS.sum(axis=1)
    low, high = np.nanpercentile(resampled, [2.5, 97.5])
    return Difference(float(by_seed.mean()), float(low), float(high), [float(value) for value in by_seed])
