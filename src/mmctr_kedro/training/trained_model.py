"""A ``TrainedModel`` from start to end: trained, asked for predictions, and freed of what gives labels away.

Light to import: torch comes with the first call.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mmctr_kedro.data.clicks import Clicks, digest, own_levels
from mmctr_kedro.models import TrainedModel, build_model, model_settings, restore_model
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.training.checkpoints import Checkpoints

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kedro.models.layers import CtrModel


def train(
    clicks_train: Clicks,
    clicks_valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    params: CtrParams | FixedCtrParams | None = None,
    *,
    checkpoints: Checkpoints | None = None,
    after_evaluation: Callable[[list[dict[str, Any]]], None] | None = None,
) -> tuple[TrainedModel, list[dict[str, Any]]]:
    """Train a CTR model; the same arguments on the same machine give the same weights, bit for bit.

    Args:
        clicks_train: R rows to learn from, with labels of both kinds.
        clicks_valid: Rows whose AUC decides when to stop and which weights are kept.
        item_tags: ``[N+1, 5]`` int32, 0 = no tag; row i is item i's, row 0 zeros.
        item_embedding: ``[N+1, D]`` float32, finite, row 0 zeros; frozen.
        params: The model and its training; ``FixedCtrParams`` is Task 1's fixed DIN. None: ``CtrParams()``, a DIN.
        checkpoints: Where a killed training left its state, to go on from, and this one leaves its own.
        after_evaluation: Of one process: called with the history so far; what it raises ends the training.

    Returns:
        model: With the weights of the evaluation of best valid AUC.
        history: One entry per evaluation, oldest first: ``epoch`` and ``step`` (from 1), ``train_loss``, ``valid_auc``,
        ``valid_logloss``, ``learning_rate``, ``seconds``, ``cpu_seconds``, ``rows_per_second``.

    Raises:
        MmctrError: Tables that do not fit each other, labels of one kind alone, or a loss that is no longer finite.

    Where the model has pieces that must earn their place (``to_compare`` of its settings), it is trained with and
    without each; model and history are those kept, and ``settings["compared"]`` says what was (``training.comparing``).
    With ``params.processes`` above 1 it starts so many, which run this same function and share each batch (``launch``);
    within a group of torch.distributed it is one of its processes.
    Source: each model's file names its paper; the loop is the organisers' (FuxiCTR) in its defaults.
    """
    import torch.distributed as dist

    from mmctr_kedro.common.machine import circumstances, reproducible
    from mmctr_kedro.training.comparing import Training, compare_pieces
    from mmctr_kedro.training.loop import best_evaluation, fit
    from mmctr_kedro.training.loop import predict as predict_rows

    fixed = isinstance(params, FixedCtrParams)
    ctr = params.as_ctr() if isinstance(params, FixedCtrParams) else params or CtrParams()
    if ctr.processes > 1 and not dist.is_initialized():
        tables = (clicks_train, clicks_valid, item_tags, item_embedding)
        from mmctr_kedro.training.launch import launch

        job = partial(train, *tables, params, checkpoints=checkpoints)
        return launch(job, ctr, checkpoints.path if checkpoints else None)
    numbers = itertools.count(1)

    def train_one(ctr: CtrParams) -> Training:
        store = checkpoints.of(next(numbers)) if checkpoints else None
        with reproducible(ctr) as device:
            model = build_model(ctr, item_tags, item_embedding)
            history = fit(model, clicks_train, clicks_valid, ctr, device, ctr.model.name, store, after_evaluation)
            weights = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
            return Training(ctr, weights, history, predict_rows(model, clicks_valid, ctr))

    kept, compared = compare_pieces(ctr, clicks_valid, train_one)
    best = best_evaluation(kept.history)
    with reproducible(ctr) as device:
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
            "clicks_train": clicks_train.digest(),
            "clicks_valid": clicks_valid.digest(),
            "item_tags": digest(item_tags=item_tags),
            "item_embedding": digest(item_embedding=item_embedding),
        },
        "trained_with": trained_with,
    }
    return TrainedModel(settings, kept.weights), kept.history


def train_network(
    network: CtrModel, clicks_train: Clicks, clicks_valid: Clicks, params: CtrParams | None = None
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Train a network of your own, in place, by the loop that ``train`` uses; it ends on the CPU, in evaluation mode.

    Args:
        network: A ``CtrModel``, initialised (``torch.manual_seed`` before it makes that repeatable).
        clicks_train: As for ``train``.
        clicks_valid: As for ``train``.
        params: The training; ``params.model`` is not read. None: ``CtrParams()``.

    Returns:
        pctr: ``[R]`` float32, its predictions of the valid rows in row order, by the weights of best valid AUC.
        history: As of ``train``.

    Raises:
        MmctrError: Labels of one kind alone, or a loss that is no longer finite.
    """
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.training.loop import fit
    from mmctr_kedro.training.loop import predict as predict_rows

    params = params or CtrParams()
    with reproducible(params) as device:
        history = fit(network, clicks_train, clicks_valid, params, device, type(network).__name__)
        pctr = predict_rows(network, clicks_valid, params)
    network.cpu().eval()
    return pctr, history


def predict(model: TrainedModel, clicks: Clicks, item_tags: np.ndarray, item_embedding: np.ndarray) -> np.ndarray:
    """The probability of a click for every row, by the trained model alone.

    Args:
        model: As ``train`` gives it, or ``load_model``.
        clicks: R rows; their labels are not read.
        item_tags: As for ``train``, of as many items.
        item_embedding: As for ``train``, of as many items and as wide.

    Returns:
        ``[R]`` float32 in [0, 1], in row order.

    Raises:
        MmctrError: Tables of other sizes than the model was trained with.
    """
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.training.loop import predict as predict_rows

    params = CtrParams(**model.settings["ctr"])
    with reproducible(params) as device:
        return predict_rows(restore_model(model, item_tags, item_embedding).to(device), clicks, params)


def pieces(
    model: TrainedModel, clicks: Clicks, rows: np.ndarray, item_tags: np.ndarray, item_embedding: np.ndarray
) -> dict[str, np.ndarray]:
    """What the pieces of a model that is their sum say of some rows: log-odds by piece, each as long as ``rows``.

    Args:
        model: As ``train`` gives it.
        rows: Which rows of ``clicks``, ``[n]`` int.
        item_tags, item_embedding: The tables it was trained with.

    Returns:
        They sum to the logit, which the sigmoid makes a probability. Empty for a model that is no sum.
    """
    import torch

    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.training.batches import make_batch
    from mmctr_kedro.training.steps import autocast

    params = CtrParams(**model.settings["ctr"])
    with reproducible(params) as device, torch.no_grad(), autocast(params, device):
        restored = restore_model(model, item_tags, item_embedding).to(device).eval()
        said = restored.pieces(make_batch(clicks, rows, device, params.max_history))
        return {name: of_rows.float().cpu().numpy() for name, of_rows in said.items()}


def leave_out_the_leak(
    model: TrainedModel,
    item_content: pd.DataFrame,
    clicks_train: Clicks,
    clicks_valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    *,
    checkpoints: Checkpoints | None = None,
) -> tuple[TrainedModel, np.ndarray]:
    """What is left of a model where rows carry levels by their label (``diagnose``: ``leak``, ``levels``).

    In use an item has its own levels. A model that can switch off what reads them does so; any other is trained again,
    on rows that carry their own item's levels: one that learnt the leak, fed with own levels, would tell nothing.

    Args:
        model: As ``train`` made it of the other arguments.
        item_content: One row per item, ascending: ``item_id`` 1..N, ``likes_level``, ``views_level``.
        clicks_train: As for ``train``.
        clicks_valid: As for ``train``.
        item_tags: As for ``train``.
        item_embedding: As for ``train``.
        checkpoints: As for ``train``.

    Returns:
        model: The one to put to use; ``settings["leak_free"]`` says in words how it was made.
        pctr: ``[R]`` float32, its predictions of the valid rows with their own items' levels, in row order.
    """
    own = own_levels(item_content, clicks_train)
    clicks_train, clicks_valid = (with_own_levels(clicks, own) for clicks in (clicks_train, clicks_valid))
    params = CtrParams(**model.settings["ctr"])
    if without := params.model.without_leak():
        how = "what reads the levels is switched off"
        params = params.model_copy(update={"model": without})
        names = build_model(params, item_tags, item_embedding, model.settings["tags"]).state_dict()
        settings = model.settings | {"ctr": params.model_dump(mode="json")}
        model = TrainedModel(settings, {name: model.weights[name] for name in names})
    else:
        how = "trained and judged on rows that carry their own item's levels"
        tables = (clicks_train, clicks_valid, item_tags, item_embedding)
        model, _ = train(*tables, model_settings(model), checkpoints=checkpoints)
    model = TrainedModel(model.settings | {"leak_free": how}, model.weights)
    return model, predict(model, clicks_valid, item_tags, item_embedding)


def with_own_levels(clicks: Clicks, own: np.ndarray) -> Clicks:
    """The same rows, each with its item's levels: ``own`` is ``[N + 1, 2]``."""
    likes_level, views_level = own[clicks.item].T
    return dataclasses.replace(clicks, likes_level=likes_level, views_level=views_level)
