"""Measures of a prediction: functions of (label, score) and, for some, of groups. Exact, whole-array numpy.

Labels are 1 = click, 0 = not; scores are higher for likelier clicks. What one class leaves undefined is NaN.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

CALIBRATION_BINS = 10


class GroupedAuc(NamedTuple):
    """AUC within groups, see ``grouped_auc``."""

    auc: float  # NaN if no group has both labels
    rows_share: float  # share of all rows that lie in a group with both labels
    groups: int  # groups with both labels


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve, ties counted half; NaN if there are only clicks or only others.

    Counts are whole numbers until the last division, so the result is that of scikit-learn to rounding.

    Args:
        label: ``[R]``, 1 = click, 0 = not.
        score: ``[R]``, higher = likelier a click.
    """
    label = np.asarray(label).astype(np.int64)
    return auc_of_counts(score, label, 1 - label)


def auc_of_counts(score: np.ndarray, clicks: np.ndarray, others: np.ndarray) -> float:
    """AUC of rows that are only counted: ``score``, its ``clicks`` and its ``others``, each ``[G]``.

    The same as ``auc`` of the rows one by one. A score may occur more than once.
    """
    clicks, others = _by_score(score, clicks, others)
    pairs = int(clicks.sum()) * int(others.sum())
    if pairs == 0:
        return float("nan")
    return int((clicks * _twice_below(others)).sum()) / (2 * pairs)


def auc_standard_error(label: np.ndarray, score: np.ndarray) -> float:
    """Standard error of the AUC after DeLong et al. (1988); rows count as independent.

    NaN with fewer than two rows of either class.
    """
    label = np.asarray(label).astype(np.int64)
    return auc_standard_error_of_counts(score, label, 1 - label)


def auc_standard_error_of_counts(score: np.ndarray, clicks: np.ndarray, others: np.ndarray) -> float:
    """``auc_standard_error`` of rows that are only counted, as for ``auc_of_counts``."""
    clicks, others = _by_score(score, clicks, others)
    m, n = int(clicks.sum()), int(others.sum())
    if min(m, n) < 2:
        return float("nan")
    # For each click the share of others below it, for each other the share of clicks above it.
    below = _twice_below(others) / (2 * n)
    above = 1 - _twice_below(clicks) / (2 * m)
    return float(np.sqrt(_variance(below, clicks) / m + _variance(above, others) / n))


def auc_of_groups(label: np.ndarray, score: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUC within each group, ``[G]``, and its rows, ``[G]``, groups ascending; NaN where one has only one class.

    Args:
        label: ``[R]`` 0 or 1.
        score: ``[R]`` float.
        group: ``[R]`` int, such as the user.
    """
    import pandas as pd  # here, as hooks judge rules by other metrics, and kedro run --help does without it

    rank = pd.Series(score).groupby(group).rank()  # within the group, from 1, ties at their mean
    by_group = pd.DataFrame({"click": np.asarray(label), "rank_of_click": rank * label}).groupby(group)
    rows, found = by_group.size(), by_group.sum()
    clicks, others = found["click"], rows - found["click"]
    right = found["rank_of_click"] - clicks * (clicks + 1) / 2  # pairs ranked right, ties half (Mann-Whitney's U)
    pairs = (clicks * others).where(lambda count: count > 0)
    return (right / pairs).to_numpy(), rows.to_numpy()


def grouped_auc(label: np.ndarray, score: np.ndarray, group: np.ndarray) -> GroupedAuc:
    """Mean AUC within groups (GAUC, with users as groups), weighted by rows (impressions).

    A group with clicks only or others only has no AUC: it is left out of the mean, and ``rows_share`` says
    how many rows the mean is of. Arguments as of ``auc_of_groups``.
    """
    aucs, rows = auc_of_groups(label, score, group)
    both = np.isfinite(aucs)
    if not both.any():
        return GroupedAuc(float("nan"), 0.0, 0)
    mean = np.average(aucs[both], weights=rows[both])
    return GroupedAuc(float(mean), int(rows[both].sum()) / len(label), int(both.sum()))


def logloss(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean binary cross-entropy, probabilities kept off 0 and 1 by an epsilon, as in scikit-learn."""
    edge = np.finfo(probability.dtype).eps
    probability = np.clip(probability, edge, 1 - edge).astype(np.float64)
    label = np.asarray(label, dtype=np.float64)
    return float(-np.mean(label * np.log(probability) + (1 - label) * np.log1p(-probability)))


def even_parts(value: np.ndarray, parts: int) -> np.ndarray:
    """Which of ``parts`` nearly equal parts, lowest values first, each value falls in: ``[R]`` int.

    Equal values stay together, so parts may be of unequal size and some may have nothing.
    """
    inner = np.quantile(value, np.linspace(0, 1, parts + 1)[1:-1]) if len(value) else np.empty(0)
    return np.searchsorted(inner, value, side="left")


def calibration(label: np.ndarray, score: np.ndarray) -> list[dict[str, Any]]:
    """Mean score and share of clicks in ``CALIBRATION_BINS`` bins of nearly equal size, lowest scores first.

    Equal scores stay in one bin, so there may be fewer. ``standard_error`` is that of the share of clicks.
    """
    which = even_parts(score, CALIBRATION_BINS)
    bins = []
    for chosen in (which == number for number in np.unique(which)):
        rows, share = int(chosen.sum()), float(label[chosen].mean())
        bins.append(
            {
                "rows": rows,
                "mean_prediction": float(score[chosen].mean(dtype=np.float64)),
                "click_share": share,
                "standard_error": float(np.sqrt(share * (1 - share) / rows)),
            }
        )
    return bins


def calibration_error(bins: list[dict[str, Any]]) -> float:
    """Expected calibration error: mean distance of mean score and share of clicks over bins, weighted by rows."""
    rows = np.array([bin_["rows"] for bin_ in bins])
    gap = np.array([abs(bin_["mean_prediction"] - bin_["click_share"]) for bin_ in bins])
    return float(np.average(gap, weights=rows))


def predicted_per_click(label: np.ndarray, probability: np.ndarray) -> float:
    """Sum of predicted clicks over clicks: 1 is right on the whole, 1.2 a fifth too many; NaN without clicks."""
    clicks = int(label.sum())
    return float(probability.sum(dtype=np.float64)) / clicks if clicks else float("nan")


def _by_score(score: np.ndarray, clicks: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clicks and others of each distinct score, lowest first, int64."""
    _, place = np.unique(score, return_inverse=True)
    clicks, others = (np.bincount(place, weights=counts).astype(np.int64) for counts in (clicks, others))
    return clicks, others


def _twice_below(counts: np.ndarray) -> np.ndarray:
    """For each score twice the rows below it, those at it counted half: a whole number."""
    return 2 * (np.cumsum(counts) - counts) + counts


def _variance(value: np.ndarray, counts: np.ndarray) -> float:
    """Sample variance of values that occur ``counts`` times each."""
    total = counts.sum()
    mean = (counts * value).sum() / total
    return float((counts * (value - mean) ** 2).sum() / (total - 1))
