"""How good predictions are: AUC with its standard error, calibration, and AUC by slice of the rows.

Whatever cannot be known (an AUC of one class, a best reachable AUC nobody has told) is None, never NaN, so
that the metrics are valid JSON.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmctr_kedro.batch import Clicks
from mmctr_kedro.training import metrics

# Lower ends of the buckets. History lengths: 3 is the challenge's shortest, 6 the median, 64 the most kept.
HISTORY_EDGES = (0, 1, 3, 5, 7, 10, 15, 20, 30)
# Clicks of an item in train, doubling; -1 stands for an item without any train row.
POPULARITY_EDGES = (-1, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
UNSEEN = "not in train"
CALIBRATION_BINS = 10
ROC_POINTS = 201


def auc(label: np.ndarray, score: np.ndarray) -> float | None:
    """Exact area under the ROC curve, ties counted half; None without both classes."""
    return metrics.auc(label, score) if _two_classes(label) else None


def auc_standard_error(label: np.ndarray, score: np.ndarray) -> float | None:
    """Standard error of the AUC after DeLong et al. (1988), through midranks (Sun and Xu, 2014).

    Rows count as independent; None with fewer than two rows of either class.
    """
    from scipy.stats import rankdata

    clicked, other = score[label == 1], score[label == 0]
    m, n = len(clicked), len(other)
    if min(m, n) < 2:
        return None
    together = rankdata(np.concatenate([clicked, other]))
    # For each click the share of non-clicks below it, for each non-click the share of clicks above it.
    below = (together[:m] - rankdata(clicked)) / n
    above = 1 - (together[m:] - rankdata(other)) / m
    return float(np.sqrt(below.var(ddof=1) / m + above.var(ddof=1) / n))


def calibration(label: np.ndarray, score: np.ndarray) -> list[dict[str, Any]]:
    """Mean score and share of clicks in bins of nearly equal size, lowest scores first.

    Equal scores stay in one bin, so there may be fewer than ``CALIBRATION_BINS``. ``standard_error`` is that
    of the share of clicks.
    """
    inner = np.unique(np.quantile(score, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]))
    which = np.searchsorted(inner, score, side="left")
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


def expected_calibration_error(bins: list[dict[str, Any]]) -> float:
    """Mean distance between mean score and share of clicks over the bins, weighted by rows."""
    rows = np.array([bin_["rows"] for bin_ in bins])
    gap = np.array([abs(bin_["mean_prediction"] - bin_["click_share"]) for bin_ in bins])
    return float(np.average(gap, weights=rows))


def roc(label: np.ndarray, score: np.ndarray) -> dict[str, list[float]] | None:
    """The ROC curve at ``ROC_POINTS`` even false-positive rates, for drawing; None without both classes."""
    if not _two_classes(label):
        return None
    _, group = np.unique(-score, return_inverse=True)  # equal scores are taken together, highest first
    clicks = np.bincount(group, weights=label)
    others = np.bincount(group) - clicks
    false_positive = np.concatenate([[0.0], np.cumsum(others) / others.sum()])
    true_positive = np.concatenate([[0.0], np.cumsum(clicks) / clicks.sum()])
    grid = np.linspace(0, 1, ROC_POINTS)
    drawn = np.interp(grid, false_positive, true_positive)
    drawn[0] = 0.0  # interp takes the last of several points at 0
    return {"false_positive_rate": _rounded(grid), "true_positive_rate": _rounded(drawn)}


def by_bucket(
    value: np.ndarray,
    edges: tuple[int, ...],
    label: np.ndarray,
    score: np.ndarray,
    posterior: np.ndarray | None,
) -> list[dict[str, Any]]:
    """AUC, its error and the best reachable AUC of the rows in each bucket of ``value`` that has any.

    Args:
        value: ``[R]`` int, what is bucketed.
        edges: Lower ends, ascending; the last bucket is open.
        label: ``[R]`` 0 or 1.
        score: ``[R]`` float.
        posterior: ``[R]`` float64, or None where nobody knows it.
    """
    which = np.searchsorted(edges, value, side="right") - 1
    slices = []
    for number in np.unique(which):
        chosen = which == number
        slices.append(
            {
                "bucket": bucket_name(edges, int(number)),
                "rows": int(chosen.sum()),
                "clicks": int(label[chosen].sum()),
                "auc": auc(label[chosen], score[chosen]),
                "auc_standard_error": auc_standard_error(label[chosen], score[chosen]),
                "best_reachable_auc": None if posterior is None else auc(label[chosen], posterior[chosen]),
            }
        )
    return slices


def bucket_name(edges: tuple[int, ...], number: int) -> str:
    """``"3-4"``, ``"0"``, ``"30+"``; an edge of -1 is called ``UNSEEN``."""
    low = edges[number]
    if low < 0:
        return UNSEEN
    if number + 1 == len(edges):
        return f"{low}+"
    high = edges[number + 1] - 1
    return f"{low}" if low == high else f"{low}-{high}"


def train_clicks(train: Clicks, item: np.ndarray) -> np.ndarray:
    """Clicks in train on each of ``item``; -1 for an item without any train row. ``[R]`` int64."""
    size = int(max(train.item.max(initial=0), item.max(initial=0))) + 1
    rows = np.bincount(train.item, minlength=size)
    clicks = np.bincount(train.item, weights=train.label, minlength=size).astype(np.int64)
    return np.where(rows > 0, clicks, -1)[item]


def _two_classes(label: np.ndarray) -> bool:
    return bool((label == 1).any() and (label == 0).any())


def _rounded(values: np.ndarray) -> list[float]:
    return [round(value, 5) for value in values.tolist()]
