"""Train a CTR model and predict with it. Light to import: torch comes with the first call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.batch import Clicks, digest
from mmctr_kedro.models import TrainedModel, build_model, restore_model
from mmctr_kedro.params import CtrParams, FixedCtrParams
from mmctr_kedro.training.checkpoints import Checkpoints


def train_fixed_model(
    params: FixedCtrParams,
    train: Clicks,
    valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    checkpoints: Checkpoints | None = None,
) -> tuple[TrainedModel, list[dict[str, Any]]]:
    """Task 1: train the challenge's fixed DIN; arguments and results as in ``train_model``."""
    return _train(params.as_ctr(), True, train, valid, item_tags, item_embedding, checkpoints)


def train_model(
    params: CtrParams,
    train: Clicks,
    valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    checkpoints: Checkpoints | None = None,
) -> tuple[TrainedModel, list[dict[str, Any]]]:
    """Train the model that ``params.model`` names.

    Args:
        params: The model and its training.
        train: Rows to learn from.
        valid: Rows whose AUC decides when to stop and which weights are kept.
        item_tags: ``[N+1, 5]`` int32, 0 = no tag, row 0 zeros.
        item_embedding: ``[N+1, 128]`` float32, row 0 zeros; frozen.
        checkpoints: Where a killed training left its state, to go on from, and this one leaves its own.

    Returns:
        model: With the weights of the evaluation of best valid AUC.
        history: One entry per evaluation, see ``training.loop.fit``.
    """
    return _train(params, False, train, valid, item_tags, item_embedding, checkpoints)


def _train(
    params: CtrParams,
    fixed: bool,
    train: Clicks,
    valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    checkpoints: Checkpoints | None,
) -> tuple[TrainedModel, list[dict[str, Any]]]:
    from mmctr_kedro.training.loop import best_evaluation, fit
    from mmctr_kedro.training.machine import circumstances, reproducible

    with reproducible(params) as device:
        model = build_model(params, item_tags, item_embedding)
        history = fit(model, train, valid, params, device, params.model.name, checkpoints)
        trained_with = circumstances(device)
    best = best_evaluation(history)
    settings = {
        "ctr": params.model_dump(mode="json"),
        "fixed": fixed,
        "items": len(item_embedding),
        "tags": int(item_tags.max()) + 1,
        "embedding_width": int(item_embedding.shape[1]),
        "best_epoch": best["epoch"],
        "best_step": best["step"],
        "trained_on": {
            "clicks_train": train.digest(),
            "clicks_valid": valid.digest(),
            "item_tags": digest(item_tags=item_tags),
            "item_embedding": digest(item_embedding=item_embedding),
        },
        "trained_with": trained_with,
    }
    weights = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
    return TrainedModel(settings, weights), history


def predict(
    model: TrainedModel, valid: Clicks, test: Clicks, item_tags: np.ndarray, item_embedding: np.ndarray
) -> pd.DataFrame:
    """pCTR of every valid and test row, by the trained model alone.

    Returns:
        ``split`` ("valid", then "test"), ``row_id`` int64, ``pctr`` float32, in row order.
    """
    from mmctr_kedro.training.loop import predict as predict_rows
    from mmctr_kedro.training.machine import reproducible

    params = CtrParams(**model.settings["ctr"])
    with reproducible(params) as device:
        network = restore_model(model, item_tags, item_embedding).to(device)
        parts = [
            pd.DataFrame(
                {
                    "split": name,
                    "row_id": np.asarray(clicks.row_id, dtype=np.int64),
                    "pctr": predict_rows(network, clicks, params),
                }
            )
            for name, clicks in (("valid", valid), ("test", test))
        ]
    return pd.concat(parts, ignore_index=True)
