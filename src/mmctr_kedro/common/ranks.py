"""The processes of one training, torch.distributed's default group: which of them this is, what all hold together.

Every process has the same weights and takes its share of each batch's rows. What is reduced over rows is reduced over
those of all processes, and its gradient flows to a process's own rows; gradients of weights are then added up. Without
a group, or ``alone``, there is one process, and everything here gives back what it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from mmctr_kedro.common import machine

T = TypeVar("T")
_alone = False


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() and not _alone else 1


def rank() -> int:
    """Which of them this is, from 0: the one that writes."""
    return dist.get_rank() if size() > 1 else 0


@contextmanager
def alone() -> Iterator[None]:
    """Work as one process for the length of a block: all do the same, and nothing is exchanged."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def share(rows: int) -> slice | None:
    """The place of this process's rows among so many; None: all are its own."""
    return slice(rows * rank() // size(), rows * (rank() + 1) // size()) if size() > 1 else None


def seed_step(seed: int, step: int) -> None:
    """Where there are several processes, seed torch by the step and the process: other rows, another dropout."""
    if dist.is_initialized() and dist.get_world_size() > 1:
        machine.seed(int(np.random.SeedSequence([seed, step, rank()]).generate_state(1, np.uint64)[0]))


def total(x: Tensor) -> Tensor:
    """The sum over all processes; differentiable, where every process has a loss of its own."""
    return _Total.apply(x) if size() > 1 else x


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, d_total: Tensor) -> Tensor:
        return total(d_total)


def whole(x_B: Tensor, place: slice, rows: int) -> Tensor:
    """The numbers of all processes' rows, of which these are at ``place``: ``[rows]``; the gradient is of these."""
    x = x_B.new_zeros(rows)
    x[place] = x_B.detach()
    dist.all_reduce(x)
    return x.slice_scatter(x_B, 0, place.start, place.stop)


def of_first(thing: T) -> T:
    """What process 0 has, a thing that can be pickled."""
    if size() == 1:
        return thing
    held = [thing]
    dist.broadcast_object_list(held)
    return held[0]


def add_up_gradients(parameters: Iterable[Tensor]) -> None:
    """Make every gradient the sum of all processes'; a sparse one then has the rows that any of them has."""
    if size() == 1:
        return
    gradients = [(parameter, parameter.grad) for parameter in parameters if parameter.grad is not None]
    dense = [gradient for _, gradient in gradients if not gradient.is_sparse]
    flat = torch.cat([gradient.flatten() for gradient in dense])  # every exchange has a cost of its own
    dist.all_reduce(flat)
    for gradient, summed in zip(dense, flat.split([gradient.numel() for gradient in dense]), strict=True):
        gradient.copy_(summed.view_as(gradient))
    for parameter, gradient in gradients:
        if gradient.is_sparse:
            parameter.grad = _sum_of_rows(gradient.coalesce())


def _sum_of_rows(gradient: Tensor) -> Tensor:
    own = gradient.indices()[0]
    touched = own.new_zeros(len(gradient), dtype=torch.uint8)
    touched[own] = 1
    dist.all_reduce(touched, dist.ReduceOp.MAX)
    rows = touched.nonzero().squeeze(1)
    values = gradient.values().new_zeros(len(rows), gradient.shape[1])
    values[torch.searchsorted(rows, own)] = gradient.values()
    dist.all_reduce(values)
    return torch.sparse_coo_tensor(rows.unsqueeze(0), values, gradient.shape, is_coalesced=True, check_invariants=False)
