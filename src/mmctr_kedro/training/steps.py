"""One step of a training: forward, backward, L2, clipping, Adam, and the learning rate it takes.

The default order of operations is that of FuxiCTR 2.3.7's ``BaseModel.fit``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn

from mmctr_kedro.common import ranks
from mmctr_kedro.data.clicks import Batch
from mmctr_kedro.models.layers import CtrModel
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.training.losses import ranking_loss

logger = logging.getLogger(__name__)

MIN_RATE = 1e-6  # where a plateau's decay ends, as in FuxiCTR
NARROW = {"bf16": torch.bfloat16, "fp16": torch.float16}

Penalties = list[tuple[float, list[nn.Parameter]]]  # lambda and what it covers


class Steps:
    """Moves a model's weights, one batch at a time."""

    def __init__(self, model: CtrModel, params: CtrParams, steps_in_all: int = 1) -> None:
        self._model, self._params, self._steps_in_all = model, params, steps_in_all
        self._device = next(model.parameters()).device
        if params.compile:
            model.compile(dynamic=True)
        self._penalties = penalties_of(model, params)
        self._lazy = lazy_tables(model) if params.embedding_update == "lazy" else []
        if params.embedding_update == "lazy" and not self._lazy:
            logger.warning("embedding_update: lazy has no effect on %s: it has no id table.", params.model.name)
        embedding, network = _embedding_and_network(model)
        lazy = set(self._lazy)  # tensors are told apart by identity there; in a list, by their numbers
        dense = [parameter for parameter in embedding if parameter not in lazy]
        rate = params.embedding_learning_rate or params.learning_rate
        groups: list[dict[str, Any]] = [
            {"params": network, "lr": params.learning_rate, "weight_decay": params.weight_decay},
            {"params": dense, "lr": rate, "weight_decay": 0.0},
        ]
        kind = torch.optim.AdamW if params.optimizer == "adamw" else torch.optim.Adam
        self._optimizers: list[torch.optim.Optimizer] = [kind([one for one in groups if one["params"]], fused=True)]
        if self._lazy:
            self._optimizers.append(torch.optim.SparseAdam(self._lazy, lr=rate))
        # Rates before warm-up and cosine; plateaus lower them.
        self._rates = [group["lr"] for group in self._groups]
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=params.precision == "fp16")
        self.done = 0

    def take(self, parts: Iterable[Batch]) -> float:
        """One step on one batch, given whole or in parts; its loss, penalties included.

        Parts save memory: gradients add up to those of the whole batch, except that batch norm and the
        pairwise term see one part at a time. Where the loss or the gradient's norm is not finite, that is
        returned and the weights stay as they were, for the error to look at; in fp16 a gradient that overflows
        only lowers the scale. Of several processes each gives its rows and gets the whole batch's loss and step.
        """
        params, step = self._params, self.done + 1
        factor = min(1.0, step / params.warmup_steps) if params.warmup_steps else 1.0
        if params.schedule == "cosine":
            factor *= (1 + math.cos(math.pi * (step - 1) / self._steps_in_all)) / 2
        for group, rate in zip(self._groups, self._rates, strict=True):
            group["lr"] = rate * factor
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        parts, total = list(parts), 0.0
        rows = sum(len(part.whole_label) for part in parts)
        for part in parts:
            total += self._backward(part, len(part.whole_label) / rows)
        ranks.add_up_gradients(self._model.parameters())
        for optimizer in self._optimizers:
            self._scaler.unscale_(optimizer)
        total += add_penalties(self._penalties, set(self._lazy))
        if math.isfinite(total):
            norm = clip_gradients(list(self._model.parameters()), params.max_gradient_norm).item()
            if math.isfinite(norm):
                for optimizer in self._optimizers:
                    optimizer.step()
            elif not self._scaler.is_enabled():
                return norm
            self._scaler.update()
            self.done += 1
        return total

    def _backward(self, part: Batch, share: float) -> float:
        """Add the part's gradient; its loss, which counts by its share of the rows."""
        with autocast(self._params, self._device):
            loss = self._model.training_loss(
                part, lambda logits: ranking_loss(part.whole(logits), part.whole_label, self._params.pairwise_weight)
            )
        loss = loss * share
        self._scaler.scale(loss).backward()
        return loss.item()

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return self._groups[0]["lr"]

    def lower_rates(self) -> None:
        """After an evaluation without gain: what schedule ``plateau`` does then."""
        if self._params.schedule == "plateau":
            decay = self._params.rate_decay
            self._rates = [max(rate * decay, min(rate, MIN_RATE)) for rate in self._rates]

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return [group for optimizer in self._optimizers for group in optimizer.param_groups]

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, apart from weights and random state."""
        return {
            "done": self.done,
            "rates": self._rates,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.done, self._rates = state["done"], state["rates"]
        for optimizer, stored in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        self._scaler.load_state_dict(state["scaler"])


def autocast(params: CtrParams, device: torch.device) -> torch.autocast:
    """The precision a model computes in; its weights stay in fp32."""
    return torch.autocast(device.type, NARROW.get(params.precision), enabled=params.precision in NARROW)


def lazy_tables(model: CtrModel) -> list[Tensor]:
    """The embedding parameters that are id tables; from now on their gradients hold the rows looked up alone.

    L2 and Adam then follow the gradient: they cost what the batch has of items, not what the table has.
    """
    embedding = set(model.embedding_parameters())
    modules = [m for m in model.modules() if isinstance(m, nn.Embedding) and m.weight in embedding]
    for module in modules:
        module.sparse = True
    return [module.weight for module in modules]


def penalties_of(model: CtrModel, params: CtrParams) -> Penalties:
    """Which regulariser covers which parameters; those of weight 0 are left out."""
    embedding, network = _embedding_and_network(model)
    pairs = [(params.embedding_regularizer, embedding), (params.net_regularizer, network)]
    return [(weight, parameters) for weight, parameters in pairs if weight > 0]


def _embedding_and_network(model: CtrModel) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    embedding = model.embedding_parameters()
    among = set(embedding)
    return embedding, [parameter for parameter in model.parameters() if parameter not in among]


def add_penalties(penalties: Penalties, lazy: Set[Tensor] = frozenset()) -> float:
    """Add the gradient of ``weight / 2 * ||W||^2``; return what it comes to.

    It covers whole tables, touched rows or not; of ``lazy`` tables, the rows that their gradient has.
    """
    total = 0.0
    for weight, parameters in penalties:
        for parameter in parameters:
            values = parameter.detach()
            if parameter.grad is None:
                if parameter in lazy:
                    continue
                parameter.grad = torch.zeros_like(values)
            gradient = _gradient(parameter)
            if parameter.grad.is_sparse:
                values = values[parameter.grad.indices()[0]]
            gradient.add_(values, alpha=weight)
            total += weight / 2 * float(torch.linalg.vector_norm(values)) ** 2
    return total


def clip_gradients(parameters: Sequence[nn.Parameter], max_norm: float) -> Tensor:
    """Scale all gradients together so that their norm is at most ``max_norm``; what it was before."""
    gradients = [_gradient(parameter) for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_, which takes no sparse gradients
    for gradient in gradients:
        gradient.mul_(scale)
    return norm


def _gradient(parameter: nn.Parameter) -> Tensor:
    """The numbers of its gradient, to change in place; of a sparse one, coalesced from here on, those it has."""
    assert parameter.grad is not None
    if not parameter.grad.is_sparse:
        return parameter.grad
    parameter.grad = parameter.grad.coalesce()
    return parameter.grad.values()
