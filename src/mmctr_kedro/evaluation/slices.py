"""AUC by slice of the rows, beside its interval and the best reachable one. ``metrics`` has the measures.

Whatever cannot be known (an AUC of one class, a best reachable AUC nobody has told) is None, never NaN, so
that the metrics are valid JSON.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation.bootstrap import Resamples
from mmctr_kedro.evaluation.metrics import auc, even_parts

# Lower ends of the buckets of history lengths: 3 is the challenge's shortest, 6 the median, 64 the most kept.
HISTORY_EDGES = (0, 1, 3, 5, 7, 10, 15, 20, 30)
POPULARITY_PARTS = 10
ROC_POINTS = 201
UNSEEN = "not in train"
LENGTH, POPULARITY = "clicks in the history", "clicks on the item in train"

Slice = dict[str, Any]


class Judged(NamedTuple):
    """Rows with labels and what was predicted of them; ``[R]`` each."""

    label: np.ndarray  # 0 or 1
    score: np.ndarray  # float
    posterior: np.ndarray | None  # float64, the best reachable probabilities; None where nobody knows them
    drawn: Resamples  # of their users


@dataclass(frozen=True, eq=False)  # two are the same rows if they are one object
class Rows:
    """Rows that several predictions are compared on; all ``[R]``."""

    label: np.ndarray  # 0 or 1
    user: np.ndarray  # any integers
    slices: dict[tuple[str, str], np.ndarray]  # by what the rows are cut and the bucket: bool


def rows_of(valid: Clicks, train: Clicks) -> Rows:
    """The valid rows, cut by length of the history and by clicks on the item in train."""
    popularity = train_clicks(train, valid.item)
    cuts = {
        LENGTH: history_buckets(valid.history_length),
        POPULARITY: {UNSEEN: popularity < 0} | popularity_tenths(popularity),
    }
    slices = {(of, name): chosen for of, buckets in cuts.items() for name, chosen in buckets.items()}
    return Rows(np.asarray(valid.label), np.asarray(valid.user), slices)


def roc(label: np.ndarray, score: np.ndarray) -> dict[str, list[float]] | None:
    """The ROC curve at ``ROC_POINTS`` even false-positive rates, rounded for drawing; None without both classes."""
    from sklearn.metrics import roc_curve

    if not 0 < label.sum() < len(label):
        return None
    false_positive, true_positive, _ = roc_curve(label, score, drop_intermediate=False)
    grid = np.linspace(0, 1, ROC_POINTS)
    drawn = np.interp(grid, false_positive, true_positive)
    drawn[0] = 0.0  # interp takes the last of several points at 0
    rates = {"false_positive_rate": grid, "true_positive_rate": drawn}
    return {name: [round(value, 5) for value in rate.tolist()] for name, rate in rates.items()}


def slice_of(chosen: np.ndarray, rows: Judged) -> Slice:
    """Rows, clicks, AUC, its 95% interval and the best reachable AUC of the rows where ``chosen``, ``[R]`` bool."""
    label = rows.label[chosen]
    return {
        "rows": len(label),
        "clicks": int(label.sum()),
        **auc_and_interval(label, rows.score[chosen], rows.drawn.of(chosen)),
        "best_reachable_auc": None if rows.posterior is None else known(auc(label, rows.posterior[chosen])),
    }


def auc_and_interval(label: np.ndarray, score: np.ndarray, drawn: Resamples) -> Slice:
    """``auc``, and ``auc_interval``: lower and upper end of the middle 95% over users drawn again, or None."""
    found = drawn.auc(label, score)
    return {"auc": known(found.value), "auc_interval": found.interval}


def by_history_length(length: np.ndarray, rows: Judged) -> list[Slice]:
    """``slice_of`` each of ``history_buckets``, and its name as ``bucket``."""
    return [{"bucket": name, **slice_of(chosen, rows)} for name, chosen in history_buckets(length).items()]


def by_popularity_decile(popularity: np.ndarray, rows: Judged) -> list[Slice]:
    """``slice_of`` each of ``popularity_tenths``, and its name as ``bucket``."""
    return [{"bucket": name, **slice_of(chosen, rows)} for name, chosen in popularity_tenths(popularity).items()]


def history_buckets(length: np.ndarray) -> dict[str, np.ndarray]:
    """Which rows lie in each bucket of history lengths ``[R]`` that has any: ``[R]`` bool by its name."""
    which = np.searchsorted(HISTORY_EDGES, length, side="right") - 1
    return {bucket_name(HISTORY_EDGES, number): which == number for number in np.unique(which)}


def popularity_tenths(popularity: np.ndarray) -> dict[str, np.ndarray]:
    """Each tenth of the rows by popularity, least popular first: ``[R]`` bool by the range of popularity.

    Items not in train are in none. Equal popularities stay together, so there may be fewer than ten.

    Args:
        popularity: ``[R]`` int, see ``train_clicks``.
    """
    seen = popularity >= 0
    which = np.full(len(popularity), -1)
    which[seen] = even_parts(popularity[seen], POPULARITY_PARTS)
    tenths = [which == number for number in np.unique(which[seen])]
    return {_range(popularity[chosen].min(), popularity[chosen].max()): chosen for chosen in tenths}


def bucket_name(edges: tuple[int, ...], number: int) -> str:
    """``"3-4"``, ``"0"``, ``"30+"``: the bucket from one lower edge to the next."""
    low = edges[number]
    return f"{low}+" if number + 1 == len(edges) else _range(low, edges[number + 1] - 1)


def train_clicks(train: Clicks, item: np.ndarray) -> np.ndarray:
    """Clicks in train on each of ``item``; -1 for an item without any train row. ``[R]`` int64."""
    size = int(max(train.item.max(initial=0), item.max(initial=0))) + 1
    rows = np.bincount(train.item, minlength=size)
    clicks = np.bincount(train.item, weights=train.label, minlength=size).astype(np.int64)
    return np.where(rows > 0, clicks, -1)[item]


def known(value: float) -> float | None:
    """None for NaN, as JSON has it."""
    return None if math.isnan(value) else value


def _range(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low}-{high}"
