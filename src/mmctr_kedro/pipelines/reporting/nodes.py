"""From predictions to metrics and rows worth reading; figures and pages are made in ``reports``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation import slices as measures
from mmctr_kedro.evaluation.bootstrap import Resamples
from mmctr_kedro.evaluation.evaluate import evaluate as evaluate_rows
from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.evaluation.scorecard import next_item
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.models import TrainedModel, model_settings
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.reports import examples
from mmctr_kedro.reports.text import CEILINGS
from mmctr_kedro.submission.rules import broken
from mmctr_kedro.training import trained_model

Metrics = dict[str, Any]
History = list[dict[str, Any]]

PROVIDED: dict[str, Any] = {"variant": "provided", "encoders": {}}


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
    item_embedding: np.ndarray,
    *,
    task: str,
    embedding: dict[str, Any] = PROVIDED,
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
        item_embedding: ``[N+1, D]`` float32, what the model was judged on.
        task: Name of the namespace.
        embedding: Which it is: ``variant``, and ``encoders``, what read titles and covers for it.

    Returns:
        Plain JSON without NaN: what ``evaluation.evaluate`` says of the valid rows, and what became of the run.
        ``without_leak`` is the AUC of ``leak_free_predictions`` and how they were made; None where nothing leaks.
        ``embedding`` says which it was, and what its nearest items tell of the next click.
        ``ceilings`` are the AUCs of the three posteriors, None where nobody knows them.
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
        without_leak = measures.auc_and_interval(label, left, Resamples(clicks_valid.user)) | {"how": how}
    unseen_in_test = measures.train_clicks(clicks_train, clicks_test.item) < 0
    settings = model_settings(ctr_model)
    nearest = next_item(item_embedding, clicks_train, clicks_valid)
    seconds = sum(entry["seconds"] for entry in training_history)
    trained_rows = sum(entry["rows_per_second"] * entry["seconds"] for entry in training_history)
    return {
        "task": task,
        "model": settings.model.name if isinstance(settings, CtrParams) else "din",
        "embedding": {
            **embedding,
            "items": len(item_embedding) - 1,
            "next_item_recall_at_100": nearest["recall_at_100"],
        },
        "without_leak": without_leak,
        "ceilings": ceilings,
        "compared": ctr_model.settings["compared"],
        "not_submittable": broken(rules),
        "best_epoch": ctr_model.settings["best_epoch"],
        "epochs": max((entry["epoch"] for entry in training_history), default=0),
        "run": {"seconds": seconds, "rows_per_second": trained_rows / seconds if seconds > 0 else 0.0},
        "test_rows": len(clicks_test),
        "test_rows_with_unseen_item": int(unseen_in_test.sum()),
        **evaluate_rows(clicks_valid, score, clicks_train, posterior),
    }


def evaluate_on_our_embedding(params: EmbeddingParams, *made: Any, task: str) -> Metrics:
    """``evaluate`` of the rest, where the embedding is the one that ``params`` made."""
    made_of = params.semantic_ids.of if params.variant == "semantic_ids" else params.variant
    encoders = {
        what: encoder.pretrained.model if encoder.pretrained else encoder.name
        for modality, what, encoder in (("text", "titles", params.text), ("image", "covers", params.image))
        if params.modalities in ("both", modality) and made_of != "provided"
    }
    return evaluate(*made, task=task, embedding={"variant": params.variant, "encoders": encoders})


def show_example_rows(
    ctr_model: TrainedModel,
    predictions: pd.DataFrame,
    clicks_valid: Clicks,
    item_content: pd.DataFrame,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
) -> dict[str, list[dict[str, Any]]]:
    """Valid rows that the model got most wrong and some it got right, with what its pieces said, as JSON.

    See ``examples.in_words``.
    """
    score = _of_valid(predictions, "pctr", clicks_valid)
    kinds = examples.choose_rows(score, clicks_valid)
    rows = np.concatenate(list(kinds.values()))
    pieces = trained_model.pieces(ctr_model, clicks_valid, rows, item_tags, item_embedding)
    return examples.in_words(kinds, score, pieces, clicks_valid, item_content)


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
