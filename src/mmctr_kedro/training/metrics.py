"""Measures of a prediction. Exact, whole-array numpy."""

from __future__ import annotations

import numpy as np


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half; NaN if there are only clicks or only others.

    Counts are whole numbers until the last division, so the result is that of scikit-learn to rounding.

    Args:
        label: ``[R]``, 1 = click, 0 = not.
        score: ``[R]``, higher = likelier a click.
    """
    label = np.asarray(label).astype(np.int64)
    _, group = np.unique(score, return_inverse=True)
    clicks = np.bincount(group, weights=label).astype(np.int64)
    others = np.bincount(group).astype(np.int64) - clicks
    pairs = int(clicks.sum()) * int(others.sum())
    if pairs == 0:
        return float("nan")
    others_below = np.cumsum(others) - others
    return int((clicks * (2 * others_below + others)).sum()) / (2 * pairs)


def logloss(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean binary cross-entropy, probabilities kept off 0 and 1 by an epsilon, as in scikit-learn."""
    edge = np.finfo(probability.dtype).eps
    probability = np.clip(probability, edge, 1 - edge).astype(np.float64)
    label = np.asarray(label, dtype=np.float64)
    return float(-np.mean(label * np.log(probability) + (1 - label) * np.log1p(-probability)))
