"""Every measure of a prediction at once: ``metrics`` of all rows, ``slices`` of some."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation import slices
from mmctr_kedro.evaluation.bootstrap import RESAMPLES, Drawn, Resamples
from mmctr_kedro.evaluation.metrics import (
    auc_of_groups,
    calibration,
    calibration_error,
    grouped_auc,
    logloss,
    predicted_per_click,
)


def evaluate(
    clicks: Clicks,
    pctr: np.ndarray,
    clicks_train: Clicks,
    posterior: np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Judge the predictions of rows whose labels are known.

    Args:
        clicks: R rows with labels, such as the valid ones.
        pctr: ``[R]`` float32 in [0, 1], in the order of ``clicks``.
        clicks_train: What popularity is counted in, and which items are unseen.
        posterior: ``[R]`` float64, the best reachable probabilities; None where nobody knows them.
        resamples: Of the users, for the intervals; 0: no intervals, each None.

    Returns:
        Plain JSON without NaN; what cannot be known (an AUC of one class alone) is None. ``rows``, ``clicks``,
        ``click_share``, ``users``; ``auc``, ``auc_interval`` (lower and upper end of the middle 95% of bootstrap
        resamples of the users, each with all their rows), ``best_reachable_auc``; ``gauc``, the mean AUC within users
        that have both labels, weighted by their rows, ``gauc_interval``, ``gauc_users`` and ``gauc_rows_share``;
        ``logloss`` (nats), ``mean_prediction``, ``predicted_per_click``, ``calibration_error``; ``auc_unseen_items``,
        ``auc_by_popularity_decile``, ``auc_by_history_length``, ``calibration`` and ``roc``.
    """
    label = np.asarray(clicks.label)
    rows = slices.Judged(label, pctr, posterior, Resamples(clicks.user, count=resamples))
    popularity = slices.train_clicks(clicks_train, clicks.item)
    within_users = grouped_auc(label, pctr, clicks.user)
    bins = calibration(label, pctr)
    of_users = rows.drawn.means(*auc_of_groups(label, pctr, clicks.user))
    gauc = Drawn(within_users.auc, of_users, within_users.groups)
    return {
        **slices.slice_of(np.ones(len(label), dtype=bool), rows),
        "users": rows.drawn.users,
        "click_share": float(label.mean()),
        "gauc": slices.known(gauc.value),
        "gauc_interval": gauc.interval,
        "gauc_users": within_users.groups,
        "gauc_rows_share": within_users.rows_share,
        "logloss": logloss(label, pctr),
        "mean_prediction": float(pctr.mean(dtype=np.float64)),
        "predicted_per_click": slices.known(predicted_per_click(label, pctr)),
        "calibration_error": calibration_error(bins),
        "auc_unseen_items": slices.slice_of(popularity < 0, rows),
        "auc_by_popularity_decile": slices.by_popularity_decile(popularity, rows),
        "auc_by_history_length": slices.by_history_length(clicks.history_length, rows),
        "calibration": bins,
        "roc": slices.roc(label, pctr),
    }
