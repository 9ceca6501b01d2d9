"""The training loop: binary cross-entropy, dense L2, clipped Adam, early stopping on valid AUC.

What each step does, and in which order, is FuxiCTR 2.3.7's ``BaseModel.fit``. Knows ``Batch`` and
``CtrModel``, and no model by name.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kedro.batch import Batch, Clicks
from mmctr_kedro.errors import MmctrError
from mmctr_kedro.models.layers import CtrModel
from mmctr_kedro.params import CtrParams
from mmctr_kedro.training.batches import cut, epoch_order, make_batch
from mmctr_kedro.training.metrics import auc, logloss

logger = logging.getLogger(__name__)

MAX_GRADIENT_NORM = 10.0
MIN_GAIN = 1e-6  # a smaller gain of valid AUC counts as none
RATE_DECAY, MIN_RATE = 0.1, 1e-6
PREDICTION_BATCH = 4096

Penalties = list[tuple[float, list[nn.Parameter]]]  # lambda and what it covers
Weights = dict[str, Tensor]


def fit(
    model: CtrModel, train: Clicks, valid: Clicks, params: CtrParams, device: torch.device, name: str = "ctr"
) -> list[dict[str, Any]]:
    """Train ``model`` in place and leave it with the weights of its best epoch.

    Call it inside ``machine.reproducible``: dropout draws from torch's global random state.

    Returns:
        One entry per epoch: ``epoch`` (from 1), ``train_loss`` (mean over steps, penalties included),
        ``valid_auc``, ``valid_logloss``, ``learning_rate``, ``seconds`` and ``rows_per_second`` (training
        alone).
    """
    _check_split(train, "train")
    valid_label = _check_split(valid, "valid")
    model.to(device)
    penalties = penalties_of(model, params)
    optimizer = torch.optim.Adam(model.parameters(), lr=params.learning_rate, fused=True)
    history: list[dict[str, Any]] = []
    best_weights, epochs_without_gain = _copy_weights(model), 0
    began = time.perf_counter()
    for epoch in range(1, params.epochs + 1):
        rate = optimizer.param_groups[0]["lr"]
        order = epoch_order(len(train), params.seed, epoch)
        epoch_began = time.perf_counter()
        train_loss = _train_epoch(model, optimizer, penalties, train, order, params.batch_size, f"{name} {epoch}")
        seconds = time.perf_counter() - epoch_began
        pctr = predict(model, valid)
        entry = {
            "epoch": epoch,
            "train_loss": train_loss,
            "valid_auc": auc(valid_label, pctr),
            "valid_logloss": logloss(valid_label, pctr),
            "learning_rate": rate,
            "seconds": round(seconds, 3),
            "rows_per_second": round(len(train) / seconds, 1),
        }
        history.append(entry)
        if best_epoch(history) == epoch:
            best_weights, epochs_without_gain = _copy_weights(model), 0
        else:
            epochs_without_gain += 1
            optimizer.param_groups[0]["lr"] = max(rate * RATE_DECAY, MIN_RATE)
        _log_epoch(name, entry, params.epochs, time.perf_counter() - began, epochs_without_gain, params.patience)
        if epochs_without_gain >= params.patience:
            break
    model.load_state_dict(best_weights)
    return history


def best_epoch(history: list[dict[str, Any]]) -> int:
    """The epoch whose weights are kept: the last one to gain ``MIN_GAIN`` of valid AUC on the best before it."""
    best = history[0]
    for entry in history[1:]:
        if entry["valid_auc"] >= best["valid_auc"] + MIN_GAIN:
            best = entry
    return int(best["epoch"])


def _train_epoch(
    model: CtrModel,
    optimizer: torch.optim.Optimizer,
    penalties: Penalties,
    train: Clicks,
    order: np.ndarray,
    batch_size: int,
    title: str,
) -> float:
    """One pass over ``order``; the mean loss of its steps."""
    model.train()
    device = next(model.parameters()).device
    losses = []
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task(title, total=len(order))
        for step, rows in enumerate(cut(order, batch_size), start=1):
            loss = train_step(model, make_batch(train, rows, device), optimizer, penalties)
            if not math.isfinite(loss):
                raise _not_finite(title, step, loss, train.row_id[rows], model, optimizer)
            losses.append(loss)
            progress.advance(bar, len(rows))
    return float(np.mean(losses))


def train_step(model: CtrModel, batch: Batch, optimizer: torch.optim.Optimizer, penalties: Penalties) -> float:
    """One step on one batch; its loss, penalties included."""
    assert batch.label is not None
    optimizer.zero_grad()
    loss = F.binary_cross_entropy_with_logits(model(batch), batch.label)
    loss.backward()
    total = loss.item() + add_penalties(penalties)
    if math.isfinite(total):  # else the weights stay as they were, for the error to look at
        nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
    return total


def penalties_of(model: CtrModel, params: CtrParams) -> Penalties:
    """Which regulariser covers which parameters; those of weight 0 are left out."""
    embedding = model.embedding_parameters()
    inside = {id(parameter) for parameter in embedding}
    network = [parameter for parameter in model.parameters() if id(parameter) not in inside]
    pairs = [(params.embedding_regularizer, embedding), (params.net_regularizer, network)]
    return [(weight, parameters) for weight, parameters in pairs if weight > 0]


def add_penalties(penalties: Penalties) -> float:
    """Add the gradient of ``weight / 2 * ||W||^2`` over whole tables, touched rows or not; return it."""
    total = 0.0
    for weight, parameters in penalties:
        for parameter in parameters:
            values = parameter.detach()
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(values)
            parameter.grad.add_(values, alpha=weight)
            total += weight / 2 * float(torch.linalg.vector_norm(values)) ** 2
    return total


def predict(model: CtrModel, clicks: Clicks) -> np.ndarray:
    """pCTR of every row, ``[R]`` float32, in row order."""
    model.eval()
    device = next(model.parameters()).device
    parts = []
    with torch.no_grad():
        for start in range(0, len(clicks), PREDICTION_BATCH):
            rows = np.arange(start, min(start + PREDICTION_BATCH, len(clicks)))
            parts.append(model(make_batch(clicks, rows, device)).sigmoid().float().cpu().numpy())
    return np.concatenate(parts) if parts else np.empty(0, np.float32)


def _copy_weights(model: CtrModel) -> Weights:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _check_split(clicks: Clicks, name: str) -> np.ndarray:
    """The labels of a split that can be learnt from and measured."""
    if clicks.label is None or len(np.unique(clicks.label)) < 2:
        raise MmctrError(
            f"Split '{name}' ({len(clicks)} rows) needs clicks and rows without a click, or there is "
            "nothing to learn or to measure. Check its label column: kedro run --pipeline data_processing"
        )
    return clicks.label


def _log_epoch(name: str, entry: dict[str, Any], epochs: int, elapsed: float, idle: int, patience: int) -> None:
    left = elapsed / entry["epoch"] * (epochs - entry["epoch"])
    logger.info(
        "%s epoch %d/%d: loss %.4f, valid AUC %.4f, logloss %.4f, learning rate %.0e, "
        "%.0f rows/s, %.1f s, at most %.0f s left%s",
        name,
        entry["epoch"],
        epochs,
        entry["train_loss"],
        entry["valid_auc"],
        entry["valid_logloss"],
        entry["learning_rate"],
        entry["rows_per_second"],
        entry["seconds"],
        left,
        f"; no gain, {idle} of {patience} before stopping" if idle else "",
    )


def _not_finite(
    title: str, step: int, loss: float, row_ids: np.ndarray, model: CtrModel, optimizer: torch.optim.Optimizer
) -> MmctrError:
    broken = [name for name, value in model.state_dict().items() if not torch.isfinite(value).all()]
    rate = optimizer.param_groups[0]["lr"]
    cause = (
        f"weights stopped being finite ({', '.join(broken[:3])}), most often because learning_rate {rate:g} is too high"
        if broken
        else f"the weights are finite, so logits overflowed: learning_rate {rate:g} is too high "
        "or these rows' items have huge embedding values"
    )
    shown = ", ".join(str(row) for row in row_ids[:8]) + ("..." if len(row_ids) > 8 else "")
    return MmctrError(
        f"The loss became {loss} in epoch '{title}', step {step}, rows {shown} "
        f"({len(row_ids)} in all). Likely cause: {cause}. Lower learning_rate and run again."
    )
