"""The training loop: batches in a seeded order, evaluations, early stopping, checkpoints.

What one step does lies in ``steps``. Knows ``Batch`` and ``CtrModel``, and no model by name.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import torch

from mmctr_kedro.common import ranks
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.progress import Progress
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation.metrics import auc, logloss
from mmctr_kedro.models.layers import CtrModel
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.training.batches import batches_after, make_batch, parts_of, steps_per_epoch
from mmctr_kedro.training.checkpoints import Checkpoints, fingerprint_of
from mmctr_kedro.training.steps import Steps, autocast

logger = logging.getLogger(__name__)

MIN_GAIN = 1e-6  # a smaller gain of valid AUC counts as none
PREDICTION_BATCH = 4096
LOG_SECONDS = 60.0  # between lines about an epoch's rows
# What a checkpoint holds of a Training, beside the state of its parts.
STATE = ("history", "best_weights", "idle", "losses", "rows", "seconds", "cpu_seconds")

Entry = dict[str, Any]  # one evaluation


def fit(
    model: CtrModel,
    train: Clicks,
    valid: Clicks,
    params: CtrParams,
    device: torch.device,
    name: str = "ctr",
    checkpoints: Checkpoints | None = None,
    after_evaluation: Callable[[list[Entry]], None] | None = None,
) -> list[Entry]:
    """Train ``model`` in place and leave it with the weights of its best evaluation.

    Call it inside ``machine.reproducible``: dropout draws from torch's global random state. With
    ``checkpoints`` it goes on where a killed run of the same training was, and ends with the same weights. Where there
    are several processes (``ranks``), all of them call it with the same arguments, and the first alone writes.
    ``after_evaluation`` is called with the history so far; what it raises ends the training.

    Returns:
        One entry per evaluation: ``epoch`` (from 1), ``step`` (of all epochs, from 1), ``train_loss`` (mean over
        the steps since the last one, penalties included), ``valid_auc``, ``valid_logloss``, ``learning_rate``,
        ``seconds``, ``cpu_seconds`` (of all threads and processes) and ``rows_per_second`` (training alone).
    """
    training = Training(model.to(device), train, valid, params, name, checkpoints)
    training.resume()
    for epoch, batches in groupby(training.batches_left(), key=itemgetter(0)):
        with Progress(f"rows of {name} epoch {epoch}", len(train), LOG_SECONDS) as progress:
            progress.skip((training.steps.done - (epoch - 1) * training.steps_per_epoch) * params.batch_size)
            for _, rows in batches:
                training.step(epoch, rows)
                progress.advance(len(rows))
                if training.evaluation_is_due():
                    with progress.paused():
                        training.evaluate(epoch)
                        training.save()
                    if after_evaluation:
                        after_evaluation(training.history)
                elif training.checkpoint_is_due():
                    training.save()
    model.load_state_dict(training.best_weights)
    return training.history


class Training:
    """A training underway: what it works with, and where it is."""

    def __init__(
        self,
        model: CtrModel,
        train: Clicks,
        valid: Clicks,
        params: CtrParams,
        name: str,
        checkpoints: Checkpoints | None,
    ) -> None:
        for split, clicks in {"train": train, "valid": valid}.items():
            if clicks.label is None or len(np.unique(clicks.label)) < 2:
                raise MmctrError(
                    f"Split '{split}' ({len(clicks)} rows) needs clicks and rows without a click, or there is "
                    "nothing to learn or to measure. Check its label column: kedro run --pipeline data_processing"
                )
        self.model, self.train, self.valid, self.params, self.name = model, train, valid, params, name
        self.device = next(model.parameters()).device
        self.steps_per_epoch = steps_per_epoch(len(train), params.batch_size)
        self.last_step = params.epochs * self.steps_per_epoch
        self.steps = Steps(model, params, self.last_step)
        self.checkpoints = checkpoints if ranks.rank() == 0 else None
        self.fingerprint = fingerprint_of(model, train, valid, params, self.device) if self.checkpoints else {}
        self.saved = time.monotonic()
        self.history: list[Entry] = []
        self.best_weights = deepcopy(model.state_dict())
        self.idle = 0  # evaluations since the best one
        self.losses: list[float] = []  # this and the next three: since the last evaluation
        self.rows, self.seconds, self.cpu_seconds = 0, 0.0, 0.0

    def batches_left(self) -> Iterator[tuple[int, np.ndarray]]:
        """Epoch and row numbers of every batch to come, until patience runs out."""
        params = self.params
        for batch in batches_after(self.steps.done, len(self.train), params.batch_size, params.seed, params.epochs):
            if self.idle >= params.patience:
                return
            yield batch

    def step(self, epoch: int, rows: np.ndarray) -> None:
        """One step on these rows."""
        began, cpu_began = time.perf_counter(), time.process_time()
        self.model.train()
        parts = parts_of(rows, self.params.accumulate)
        few = min(len(part) for part in parts) < ranks.size()  # rows for each to have one: then all take the step whole
        with ranks.alone() if few else nullcontext():
            ranks.seed_step(self.params.seed, self.steps.done)
            loss = self.steps.take(
                make_batch(self.train, part, self.device, self.params.max_history, ranks.share(len(part)))
                for part in parts
            )
        if not math.isfinite(loss):
            raise self._not_finite(epoch, loss, self.train.row_id[rows])
        self.losses.append(loss)
        self.rows += len(rows)
        self.seconds += time.perf_counter() - began
        self.cpu_seconds += time.process_time() - cpu_began

    def evaluation_is_due(self) -> bool:
        every = self.params.evaluate_every or self.steps_per_epoch
        return self.steps.done % every == 0 or self.steps.done == self.last_step

    def evaluate(self, epoch: int) -> None:
        """Measure on valid, keep the weights if they are the best, lower the rate if not."""
        assert self.valid.label is not None
        pctr = predict(self.model, self.valid, self.params)
        entry = {
            "epoch": epoch,
            "step": self.steps.done,
            "train_loss": float(np.mean(self.losses)),
            "valid_auc": auc(self.valid.label, pctr),
            "valid_logloss": logloss(self.valid.label, pctr),
            "learning_rate": self.steps.rate,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(ranks.total(torch.tensor(self.cpu_seconds, device=self.device)).item(), 3),
            "rows_per_second": round(self.rows / self.seconds, 1),
        }
        self.history.append(entry)
        self.losses, self.rows, self.seconds, self.cpu_seconds = [], 0, 0.0, 0.0
        if best_evaluation(self.history) is entry:
            self.best_weights, self.idle = deepcopy(self.model.state_dict()), 0
        else:
            self.idle += 1
            if self.idle % self.params.rate_patience == 0:
                self.steps.lower_rates()
        logger.info(
            "%s epoch %d/%d%s: loss %.4f, valid AUC %.4f, logloss %.4f, learning rate %.0e, "
            "%.0f rows/s, %.1f s, at most %.0f s left%s",
            self.name,
            epoch,
            self.params.epochs,
            f" step {entry['step']}" if self.params.evaluate_every else "",
            entry["train_loss"],
            entry["valid_auc"],
            entry["valid_logloss"],
            entry["learning_rate"],
            entry["rows_per_second"],
            entry["seconds"],
            sum(past["seconds"] for past in self.history) / self.steps.done * (self.last_step - self.steps.done),
            f"; no gain, {self.idle} of {self.params.patience} before stopping" if self.idle else "",
        )

    def checkpoint_is_due(self) -> bool:
        return time.monotonic() - self.saved >= 60 * self.params.checkpoint_minutes

    def save(self) -> None:
        """Write a checkpoint, where there is a place for it: all that the next step depends on."""
        if self.checkpoints is None:
            return
        state = {name: getattr(self, name) for name in STATE}
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        state |= {"weights": self.model.state_dict(), "steps": self.steps.state(), "random": random}
        self.checkpoints.save(self.fingerprint, state)
        self.saved = time.monotonic()

    def resume(self) -> None:
        """Go on from the checkpoint of this same training, if there is one."""
        state = ranks.of_first(self.checkpoints.load(self.fingerprint) if self.checkpoints else None)
        if state is None:
            return
        for name in STATE:
            setattr(self, name, state[name])
        self.model.load_state_dict(state["weights"])
        self.steps.restore(state["steps"])
        torch.set_rng_state(state["random"]["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(state["random"]["cuda"], self.device)
        epochs, steps = divmod(self.steps.done - 1, self.steps_per_epoch)
        logger.info("%s: resuming from epoch %d step %d", self.name, epochs + 1, steps + 1)  # the last one taken

    def _not_finite(self, epoch: int, loss: float, row_ids: np.ndarray) -> MmctrError:
        broken = [name for name, value in self.model.state_dict().items() if not torch.isfinite(value).all()]
        step = self.steps.done - (epoch - 1) * self.steps_per_epoch + 1
        rate = self.steps.rate
        cause = (
            f"weights stopped being finite ({', '.join(broken[:3])}), most often because learning_rate {rate:g} is too"
            " high"
            if broken
            else f"the weights are finite, so logits or gradients overflowed: learning_rate {rate:g} is too high "
            "or these rows' items have huge embedding values"
        )
        if self.params.precision == "fp16":
            cause += ", or precision fp16, which ends at 65,504, is too narrow for this model: bf16 has fp32's range"
        shown = ", ".join(str(row) for row in row_ids[:8]) + ("..." if len(row_ids) > 8 else "")
        return MmctrError(
            f"The loss or its gradient became {loss} in epoch '{self.name} {epoch}', step {step}, rows {shown} "
            f"({len(row_ids)} in all). Likely cause: {cause}. Lower learning_rate and run again."
        )


def best_evaluation(history: list[Entry]) -> Entry:
    """The evaluation whose weights are kept: the last to gain ``MIN_GAIN`` of valid AUC on the best before it."""
    best = history[0]
    for entry in history[1:]:
        if entry["valid_auc"] >= best["valid_auc"] + MIN_GAIN:
            best = entry
    return best


def predict(model: CtrModel, clicks: Clicks, params: CtrParams) -> np.ndarray:
    """pCTR of every row, ``[R]`` float32, in row order, with the precision and history length of ``params``.

    Several processes take the batches by turns, and each gets them all.
    """
    training, device = model.training, next(model.parameters()).device
    model.eval()
    pctr = torch.zeros(len(clicks), device=device)
    with torch.no_grad(), autocast(params, device):
        for start in range(ranks.rank() * PREDICTION_BATCH, len(clicks), ranks.size() * PREDICTION_BATCH):
            rows = np.arange(start, min(start + PREDICTION_BATCH, len(clicks)))
            batch = make_batch(clicks, rows, device, params.max_history)
            pctr[start : start + len(rows)] = model(batch).float().sigmoid()
    model.train(training)
    return ranks.total(pctr).cpu().numpy()
