"""The content tower that variants learning from clicks train, and how it is trained.

The tower knows items by frozen text and image vectors alone, so an item that nobody clicked yet has a vector like any
other. At times it is shown an item without its text or without its cover, so that one lacking either still lands near
its like. N items, U distinct items of a batch, C numbers of both modalities' content, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmctr_kedro.common.best_epoch import BestEpoch
from mmctr_kedro.fusion.inputs import Fused, ItemInputs
from mmctr_kedro.fusion.linear import of_deviation_one, principal_components, standardise
from mmctr_kedro.fusion.settings import TowerParams

B = TypeVar("B")  # one batch of a variant's own kind


class ContentTower(nn.Module):
    """Item ids (1..N) ``[U]`` to unit vectors ``[U, W]``; in training some are shown without one modality.

    What it sees of an item are each modality's principal components, standardised and at mean square 1, so that zeros
    stand for "not known"; fewer columns, less work.
    """

    content: Tensor  # [N, C]
    modality: Tensor  # [C], whose column each is

    def __init__(self, inputs: ItemInputs, width: int, settings: TowerParams) -> None:
        super().__init__()
        parts = [
            principal_components(standardise(vectors), min(settings.components, vectors.shape[1]))
            for vectors in (inputs.text, inputs.image)
        ]
        modality = np.repeat(np.arange(len(parts)), [part.shape[1] for part in parts])
        self.register_buffer("content", torch.from_numpy(np.concatenate(parts, axis=1)), persistent=False)
        self.register_buffer("modality", torch.from_numpy(modality), persistent=False)
        self.modality_dropout = settings.modality_dropout
        self.layers = nn.Sequential(
            nn.Linear(len(modality), settings.hidden),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.hidden, width),
        )

    def forward(self, item_U: Tensor) -> Tensor:
        shown_UC = self.content.index_select(0, item_U - 1)
        if self.training and self.modality_dropout:
            shown_UC = shown_UC * shown_modalities(len(item_U), self.modality, self.modality_dropout)
        return self.of_content(shown_UC)

    def of_content(self, content_UC: Tensor) -> Tensor:
        """Unit vectors ``[U, W]`` of content given directly."""
        return F.normalize(self.layers(content_UC), dim=-1)

    def encode_all(self, report: dict[str, Any]) -> Fused:
        """Every item, by both modalities and by each alone, with mean 0 and mean square 1 each."""
        self.eval()
        made = []
        for shown_C in (torch.ones_like(self.modality), self.modality == 0, self.modality == 1):
            with torch.no_grad():
                parts = [self.of_content(part * shown_C.float()) for part in self.content.split(8192)]
            vectors = torch.cat(parts).cpu().numpy()
            made.append(of_deviation_one(vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)))
        return Fused(made[0], report, np.stack(made[1:]))


def shown_modalities(rows: int, modality: Tensor, rate: float) -> Tensor:
    """0 where a row's modality is left out, else 1: ``[rows, C]``; never more than one of a row is left out.

    Args:
        modality: ``[C]`` int64, whose column each is: 0, 1, ...
        rate: How often a row is shown without one.
    """
    count = int(modality[-1]) + 1
    left_out = torch.randint(count, (rows,), device=modality.device)
    left_out = torch.where(torch.rand(rows, device=modality.device) < rate, left_out, count)
    return (modality.unsqueeze(0) != left_out.unsqueeze(1)).float()


def log_frequency(items: np.ndarray, count: int, device: torch.device) -> Tensor:
    """Log of each item's share among ``items``, one added to every count: ``[count + 1]`` float32, by item id."""
    counts = np.bincount(items, minlength=count + 1) + 1.0
    return torch.from_numpy(np.log(counts / counts.sum())).float().to(device)


def fit(
    name: str,
    module: nn.Module,
    epoch_batches: Callable[[], Iterable[B]],
    loss_of: Callable[[B], Tensor],
    watched: Sequence[B],
    settings: TowerParams,
) -> dict[str, Any]:
    """Train until the loss on held-out users stops falling, and leave the weights of the best epoch in ``module``.

    Args:
        name: The variant, for log lines and errors.
        epoch_batches: One epoch's batches of users to learn from.
        watched: Batches of users that are never learnt from.

    Returns:
        ``epochs`` trained, ``best_epoch``, and ``held_out_loss`` of that one.
    """
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    best = BestEpoch(module, settings.epochs, settings.patience, f"embedding.{name}")
    while not best.is_over:
        module.train()
        losses = []
        for batch in epoch_batches():
            optimizer.zero_grad()
            loss = loss_of(batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        module.eval()
        with torch.no_grad():
            held_out_loss = float(np.mean([loss_of(batch).item() for batch in watched]))
        best.add(float(np.mean(losses)), held_out_loss)
    best.restore()
    return {"epochs": best.epochs, "best_epoch": best.best_epoch, "held_out_loss": round(best.loss, 6)}
