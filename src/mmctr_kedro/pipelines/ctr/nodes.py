"""Train a CTR model and predict with it, as ``training.trained_model`` does; predictions as tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.training import trained_model
from mmctr_kedro.training.checkpoints import Checkpoints


def train_fixed_model(
    params: FixedCtrParams,
    train: Clicks,
    valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    checkpoints: Checkpoints | None = None,
) -> tuple[TrainedModel, list[dict[str, Any]]]:
    """Task 1: train the challenge's fixed DIN; see ``trained_model.train``."""
    return trained_model.train(train, valid, item_tags, item_embedding, params, checkpoints=checkpoints)


def train_model(
    params: CtrParams,
    train: Clicks,
    valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    checkpoints: Checkpoints | None = None,
) -> tuple[TrainedModel, list[dict[str, Any]]]:
    """Train the model that ``params.model`` names; see ``trained_model.train``."""
    return trained_model.train(train, valid, item_tags, item_embedding, params, checkpoints=checkpoints)


def predict(
    model: TrainedModel, valid: Clicks, test: Clicks, item_tags: np.ndarray, item_embedding: np.ndarray
) -> pd.DataFrame:
    """pCTR of every valid and test row, by the trained model alone.

    Returns:
        ``split`` ("valid", then "test"), ``row_id`` int64, ``pctr`` float32, in row order.
    """
    tables = [
        _table(split, clicks, trained_model.predict(model, clicks, item_tags, item_embedding))
        for split, clicks in (("valid", valid), ("test", test))
    ]
    return pd.concat(tables, ignore_index=True)


def leave_out_the_leak(
    ctr_model: TrainedModel,
    data_diagnostics: dict[str, Any],
    item_content: pd.DataFrame,
    train: Clicks,
    valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    checkpoints: Checkpoints | None = None,
) -> tuple[TrainedModel, pd.DataFrame]:
    """What is left of a model without the leak that a row's levels may be: the model to put to use, and its AUC's rows.

    Returns:
        leak_free_model: As of ``trained_model.leave_out_the_leak`` where ``data_diagnostics`` found that rows carry
        levels by their label; elsewhere ``ctr_model`` itself, and ``settings["leak_free"]`` is "".
        leak_free_predictions: As of ``predict``, of the valid rows with their own items' levels.
    """
    if data_diagnostics["leak"]["levels"]:
        tables = (item_content, train, valid, item_tags, item_embedding)
        model, pctr = trained_model.leave_out_the_leak(ctr_model, *tables, checkpoints=checkpoints)
    else:
        model = TrainedModel(ctr_model.settings | {"leak_free": ""}, ctr_model.weights)
        pctr = trained_model.predict(model, valid, item_tags, item_embedding)
    return model, _table("valid", valid, pctr)


def _table(split: str, clicks: Clicks, pctr: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"split": split, "row_id": np.asarray(clicks.row_id, dtype=np.int64), "pctr": pctr})
