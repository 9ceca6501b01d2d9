"""Train a CTR model and predict with it. Light to import: torch comes with the first call."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.clicks import Clicks, digest, own_levels
from mmctr_kedro.models import TrainedModel, build_model, restore_model
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
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

    Where the model has pieces that must earn their place (``to_compare`` of its settings), it is trained with and
    without each; model and history are those kept, and ``settings["compared"]`` says what was (``training.comparing``).
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
    from mmctr_kedro.common.machine import circumstances, reproducible
    from mmctr_kedro.training.comparing import Training, compare_pieces
    from mmctr_kedro.training.loop import best_evaluation, fit
    from mmctr_kedro.training.loop import predict as predict_rows

    numbers = itertools.count(1)

    def train_one(params: CtrParams) -> Training:
        store = checkpoints.of(next(numbers)) if checkpoints else None
        with reproducible(params) as device:
            model = build_model(params, item_tags, item_embedding)
            history = fit(model, train, valid, params, device, params.model.name, store)
            weights = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
            return Training(params, weights, history, predict_rows(model, valid, params))

    kept, compared = compare_pieces(params, valid, train_one)
    best = best_evaluation(kept.history)
    with reproducible(params) as device:
        trained_with = circumstances(device)
    settings = {
        "ctr": kept.params.model_dump(mode="json"),
        "fixed": fixed,
        "items": len(item_embedding),
        "tags": int(item_tags.max()) + 1,
        "embedding_width": int(item_embedding.shape[1]),
        "best_epoch": best["epoch"],
        "best_step": best["step"],
        "compared": compared,
        "trained_on": {
            "clicks_train": train.digest(),
            "clicks_valid": valid.digest(),
            "item_tags": digest(item_tags=item_tags),
            "item_embedding": digest(item_embedding=item_embedding),
        },
        "trained_with": trained_with,
    }
    return TrainedModel(settings, kept.weights), kept.history


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

    In use an item has its own levels. Where ``data_diagnostics`` found that rows carry others by their label, a model
    that can switch off what reads them does so; any other is trained again, on rows that carry their own item's levels
    (a model that learnt the leak, fed with own levels, would tell nothing). Where nothing leaks it is the model itself.

    Returns:
        leak_free_model: As ``ctr_model``; ``settings["leak_free"]`` says in words how it was made, "" where nothing
        leaks.
        leak_free_predictions: As of ``predict``, of the valid rows with their own items' levels.
    """
    model = ctr_model
    how = ""
    if data_diagnostics["leak"]["levels"]:
        own = own_levels(item_content, train)
        train, valid = (with_own_levels(clicks, own) for clicks in (train, valid))
        params = CtrParams(**ctr_model.settings["ctr"])
        if without := params.model.without_leak():
            how = "what reads the levels is switched off"
            params = params.model_copy(update={"model": without})
            names = build_model(params, item_tags, item_embedding, ctr_model.settings["tags"]).state_dict()
            settings = ctr_model.settings | {"ctr": params.model_dump(mode="json")}
            model = TrainedModel(settings, {name: ctr_model.weights[name] for name in names})
        else:
            how = "trained and judged on rows that carry their own item's levels"
            fixed = ctr_model.settings["fixed"]
            model, _ = _train(params, fixed, train, valid, item_tags, item_embedding, checkpoints)
    model = TrainedModel(model.settings | {"leak_free": how}, model.weights)
    return model, predict(model, valid, None, item_tags, item_embedding)


def with_own_levels(clicks: Clicks, own: np.ndarray) -> Clicks:
    """The same rows, each with its item's levels: ``own`` is ``[N + 1, 2]``."""
    likes_level, views_level = own[clicks.item].T
    return dataclasses.replace(clicks, likes_level=likes_level, views_level=views_level)


def predict(
    model: TrainedModel, valid: Clicks, test: Clicks | None, item_tags: np.ndarray, item_embedding: np.ndarray
) -> pd.DataFrame:
    """pCTR of every valid and test row, by the trained model alone; without ``test`` those of valid.

    Returns:
        ``split`` ("valid", then "test"), ``row_id`` int64, ``pctr`` float32, in row order.
    """
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.training.loop import predict as predict_rows

    params, parts = CtrParams(**model.settings["ctr"]), []
    with reproducible(params) as device:
        network = restore_model(model, item_tags, item_embedding).to(device)
        for split, clicks in {"valid": valid, "test": test}.items():
            if clicks is not None:
                row_id, pctr = np.asarray(clicks.row_id, dtype=np.int64), predict_rows(network, clicks, params)
                parts.append(pd.DataFrame({"split": split, "row_id": row_id, "pctr": pctr}))
    return pd.concat(parts, ignore_index=True)
