"""From predictions to metrics and rows worth reading; figures and pages are made in ``reports``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation import slices as measures
from mmctr_kedro.evaluation.metrics import (
    auc,
    auc_standard_error,
    calibration,
    calibration_error,
    grouped_auc,
    logloss,
    predicted_per_click,
)
from mmctr_kedro.models import TrainedModel, model_settings
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.reports import examples
from mmctr_kedro.reports.text import CEILINGS
from mmctr_kedro.submission.rules import broken

Metrics = dict[str, Any]
History = list[dict[str, Any]]


def evaluate(
    ctr_model: TrainedModel,
    predictions: pd.DataFrame,
    leak_free_model: TrainedModel,
    leak_free_predictions: pd.DataFrame,
    training_history: History,
    clicks_train: Clicks,
    clicks_valid: Clicks,
    clicks_test: Clicks,
    truth: pd.DataFrame,
    rules: list[dict[str, Any]],
    *,
    task: str,
) -> Metrics:
    """Judge the predictions of the valid rows; of the test rows only count.

    Args:
        ctr_model: The model that predicted.
        predictions: ``split`` ("valid", "test"), ``row_id`` int64, ``pctr`` float32, in row order.
        leak_free_model, leak_free_predictions: What is left without the levels' leak, of valid rows.
        training_history: One entry per epoch, oldest first.
        clicks_train: What popularity is counted in.
        clicks_valid: The judged rows.
        clicks_test: Rows without labels.
        truth: ``split``, ``row_id`` and the three posteriors; its test rows are never looked at. Empty where nobody
            knows it.
        rules: What became of each rule; a broken one makes the result not submittable.
        task: Name of the namespace.

    Returns:
        Plain JSON without NaN: what cannot be known is None. ``auc``, ``logloss`` and all the rest are of the
        valid rows. ``without_leak`` is the AUC of ``leak_free_predictions`` and how they were made; None where nothing
        leaks. ``ceilings`` are the AUCs of the three posteriors, None where nobody knows them; ``gauc`` is the mean AUC
        within users that have both labels, weighted by their rows; ``gauc_rows_share`` says how many rows those are.
        ``run`` is all that the same run, repeated, would not repeat.
    """
    score = _of_valid(predictions, "pctr", clicks_valid)
    label = np.asarray(clicks_valid.label)
    posterior, ceilings = None, None
    if (truth["split"] == "valid").any():
        known = {name: _of_valid(truth, name, clicks_valid) for name in CEILINGS}
        posterior, ceilings = known["posterior"], {name: measures.known(auc(label, of)) for name, of in known.items()}
    without_leak = None
    if how := leak_free_model.settings["leak_free"]:
        left = _of_valid(leak_free_predictions, "pctr", clicks_valid)
        error = measures.known(auc_standard_error(label, left))
        without_leak = {"auc": measures.known(auc(label, left)), "auc_standard_error": error, "how": how}
    popularity = measures.train_clicks(clicks_train, clicks_valid.item)
    unseen_in_test = measures.train_clicks(clicks_train, clicks_test.item) < 0
    bins = calibration(label, score)
    within_users = grouped_auc(label, score, clicks_valid.user)
    judged = (label, score, posterior)
    settings = model_settings(ctr_model)
    seconds = sum(entry["seconds"] for entry in training_history)
    trained_rows = sum(entry["rows_per_second"] * entry["seconds"] for entry in training_history)
    return {
        "task": task,
        "model": settings.model.name if isinstance(settings, CtrParams) else "din",
        "rows": len(label),
        "clicks": int(label.sum()),
        "click_share": float(label.mean()),
        "auc": measures.known(auc(label, score)),
        "auc_standard_error": measures.known(auc_standard_error(label, score)),
        "best_reachable_auc": None if posterior is None else measures.known(auc(label, posterior)),
        "without_leak": without_leak,
        "ceilings": ceilings,
        "compared": ctr_model.settings["compared"],
        "gauc": measures.known(within_users.auc),
        "gauc_users": within_users.groups,
        "gauc_rows_share": within_users.rows_share,
        "logloss": logloss(label, score),
        "mean_prediction": float(score.mean(dtype=np.float64)),
        "predicted_per_click": measures.known(predicted_per_click(label, score)),
        "calibration_error": calibration_error(bins),
        "not_submittable": broken(rules),
        "best_epoch": ctr_model.settings["best_epoch"],
        "epochs": max((entry["epoch"] for entry in training_history), default=0),
        "run": {"seconds": seconds, "rows_per_second": trained_rows / seconds if seconds > 0 else 0.0},
        "test_rows": len(clicks_test),
        "test_rows_with_unseen_item": int(unseen_in_test.sum()),
        "auc_unseen_items": measures.slice_of(popularity < 0, *judged),
        "auc_by_popularity_decile": measures.by_popularity_decile(popularity, *judged),
        "auc_by_history_length": measures.by_history_length(clicks_valid.history_length, *judged),
        "calibration": bins,
        "roc": measures.roc(label, score),
    }


def show_worst_rows(
    predictions: pd.DataFrame, clicks_valid: Clicks, item_content: pd.DataFrame
) -> dict[str, list[dict[str, Any]]]:
    """The valid rows the model got most wrong, with titles, as JSON; see ``examples.worst_rows``."""
    return examples.worst_rows(_of_valid(predictions, "pctr", clicks_valid), clicks_valid, item_content)


def _of_valid(table: pd.DataFrame, column: str, clicks: Clicks) -> np.ndarray:
    """A column of the valid rows of ``table``, which must be those of ``clicks``, in their order."""
    rows = table[table["split"] == "valid"]
    if not np.array_equal(rows["row_id"], clicks.row_id):
        raise MmctrError(
            f"the table of {column} has {len(rows)} valid rows, not the {len(clicks)} of clicks_valid in their order."
            " Make both again from the same data: kedro run"
        )
    if count := (~np.isfinite(rows[column])).sum():
        raise MmctrError(f"{column} is no finite number in {count} valid rows. Make it again: kedro run")
    return rows[column].to_numpy()
