"""One step of a training: forward, backward, L2, clipping, Adam, and the learning rate it takes.

The default order of operations is that of FuxiCTR 2.3.7's ``BaseModel.fit``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mmctr_kedro.batch import Batch
from mmctr_kedro.models.layers import CtrModel
from mmctr_kedro.params import CtrParams
from mmctr_kedro.training.losses import ranking_loss

MIN_RATE = 1e-6  # where a plateau's decay ends, as in FuxiCTR
NARROW = {"bf16": torch.bfloat16, "fp16": torch.float16}

Penalties = list[tuple[float, list[nn.Parameter]]]  # lambda and what it covers


class Steps:
    """Moves a model's weights, one batch at a time."""

    def __init__(self, model: CtrModel, params: CtrParams, steps_in_all: int = 1) -> None:
        self._params, self._steps_in_all = params, steps_in_all
        self._device = next(model.parameters()).device
        self._parameters = list(model.parameters())
        self._forward = torch.compile(model, dynamic=True) if params.compile else model
        self._penalties = penalties_of(model, params)
        self._optimizers = optimizers_of(model, params)
        # Rates before warm-up and cosine; plateaus lower them.
        self._rates = [group["lr"] for group in self._groups]
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=params.precision == "fp16")
        self.done = 0

    def take(self, parts: Iterable[Batch]) -> float:
        """One step on one batch, given whole or in parts; its loss, penalties included.

        Parts save memory: gradients add up to those of the whole batch, except that batch norm and the
        pairwise term see one part at a time. A loss that is not finite leaves the weights as they were, for
        the error to look at.
        """
        self._set_rates(self.done + 1)
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        parts = list(parts)
        rows = sum(len(part) for part in parts)
        loss = sum(self._backward(part, len(part) / rows) for part in parts)
        for optimizer in self._optimizers:
            self._scaler.unscale_(optimizer)
        loss += add_penalties(self._penalties)
        if math.isfinite(loss):
            norm = clip_gradients(self._parameters, self._params.max_gradient_norm)
            if not self._scaler.is_enabled() or norm.isfinite():  # fp16: else the scale was too high, and falls
                for optimizer in self._optimizers:
                    optimizer.step()
            self._scaler.update()
            self.done += 1
        return loss

    def _backward(self, part: Batch, share: float) -> float:
        assert part.label is not None
        with autocast(self._params, self._device):
            logits = self._forward(part)
        loss = ranking_loss(logits, part.label, self._params.pairwise_weight) * share
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

    def _set_rates(self, step: int) -> None:
        factor = min(1.0, step / self._params.warmup_steps) if self._params.warmup_steps else 1.0
        if self._params.schedule == "cosine":
            factor *= (1 + math.cos(math.pi * (step - 1) / self._steps_in_all)) / 2
        for group, rate in zip(self._groups, self._rates, strict=True):
            group["lr"] = rate * factor

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


def optimizers_of(model: CtrModel, params: CtrParams) -> list[torch.optim.Optimizer]:
    """Adam(W) for the network and the embedding parameters, each at its rate; lazy id tables have their own.

    With ``embedding_update: lazy`` an ``nn.Embedding`` gives the gradient of the rows it looked up alone, and
    L2 and Adam follow it there (``add_penalties``, ``SparseAdam``).
    """
    embedding = model.embedding_parameters()
    tables = _lazy_tables(model, embedding) if params.embedding_update == "lazy" else []
    lazy, inside = {id(table) for table in tables}, {id(parameter) for parameter in embedding}
    embedding_rate = params.embedding_learning_rate or params.learning_rate
    network = [parameter for parameter in model.parameters() if id(parameter) not in inside]
    groups: list[dict[str, Any]] = [
        {"params": network, "lr": params.learning_rate, "weight_decay": params.weight_decay},
        {"params": [table for table in embedding if id(table) not in lazy], "lr": embedding_rate, "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if params.optimizer == "adamw" else torch.optim.Adam
    dense = kind([group for group in groups if group["params"]], fused=True)
    return [dense, torch.optim.SparseAdam(tables, lr=embedding_rate)] if tables else [dense]


def _lazy_tables(model: CtrModel, embedding: list[nn.Parameter]) -> list[Tensor]:
    inside = {id(parameter) for parameter in embedding}
    modules = [module for module in model.modules() if isinstance(module, nn.Embedding) and id(module.weight) in inside]
    for module in modules:
        module.sparse = True
    return [module.weight for module in modules]


def penalties_of(model: CtrModel, params: CtrParams) -> Penalties:
    """Which regulariser covers which parameters; those of weight 0 are left out."""
    embedding = model.embedding_parameters()
    inside = {id(parameter) for parameter in embedding}
    network = [parameter for parameter in model.parameters() if id(parameter) not in inside]
    pairs = [(params.embedding_regularizer, embedding), (params.net_regularizer, network)]
    return [(weight, parameters) for weight, parameters in pairs if weight > 0]


def add_penalties(penalties: Penalties) -> float:
    """Add the gradient of ``weight / 2 * ||W||^2``; return what it comes to.

    It covers whole tables, touched rows or not; where the gradient is sparse, the rows that it has.
    """
    total = 0.0
    for weight, parameters in penalties:
        for parameter in parameters:
            values, gradient = _matching(parameter)
            gradient.add_(values, alpha=weight)
            total += weight / 2 * float(torch.linalg.vector_norm(values)) ** 2
    return total


def _matching(parameter: nn.Parameter) -> tuple[Tensor, Tensor]:
    """The values that a parameter's gradient is about, and that gradient as a dense tensor to change in place."""
    values = parameter.detach()
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(values)
    if parameter.grad.is_sparse:
        parameter.grad = parameter.grad.coalesce()
        return values[parameter.grad.indices()[0]], parameter.grad.values()
    return values, parameter.grad


def clip_gradients(parameters: list[nn.Parameter], max_norm: float) -> Tensor:
    """Scale all gradients together so that their norm is at most ``max_norm``; what it was before."""
    holders: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            _, gradient = _matching(parameter)
            holders.append(gradient.detach())
            holders[-1].grad = gradient
        else:
            holders.append(parameter)
    return nn.utils.clip_grad_norm_(holders, max_norm)
