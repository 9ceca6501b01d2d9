"""The content tower that variants learning from clicks train, and how it is trained.

The tower knows items by frozen text and image vectors alone, so an item that nobody clicked yet has a vector like any
other. At times it is shown an item without its text or without its cover, so that one lacking either still lands near
its like. N items, U distinct items of a batch, D numbers of a modality, W width.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import TowerParams
from mmctr_kedro.fusion.inputs import Fused, Material, of_deviation_one, principal_components, standardise

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

B = TypeVar("B")  # one batch of a variant's own kind


def content_of(material: Material, components: int) -> tuple[np.ndarray, list[int]]:
    """What a tower sees: each modality's principal components side by side ``[N, sum]`` float32, and their widths.

    Standardised and at mean square 1, so that zeros stand for "not known"; fewer columns, less work.
    """
    modalities = [
        principal_components(standardise(vectors), min(components, vectors.shape[1]))
        for vectors in (material.text, material.image)
    ]
    return np.concatenate(modalities, axis=1), [vectors.shape[1] for vectors in modalities]


def content_tower(widths: Sequence[int], width: int, settings: TowerParams) -> nn.Module:
    """``[n, sum(widths)]`` to unit vectors ``[n, W]``."""
    from torch import nn

    class Unit(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.normalize(x, dim=-1)

    return nn.Sequential(
        nn.Linear(sum(widths), settings.hidden),
        nn.GELU(),
        nn.Dropout(settings.dropout),
        nn.Linear(settings.hidden, width),
        Unit(),
    )


def item_vectors(
    tower: nn.Module, content: Tensor, items: Tensor, widths: Sequence[int], settings: TowerParams
) -> Tensor:
    """Vectors ``[U, W]`` of these item ids (1..N) ``[U]``; in training some are shown without one modality."""
    shown = content.index_select(0, items - 1)
    if tower.training and settings.modality_dropout:
        shown = shown * shown_modalities(len(shown), widths, settings.modality_dropout, shown.device)
    return tower(shown)


def shown_modalities(rows: int, widths: Sequence[int], rate: float, device: torch.device) -> Tensor:
    """0 where a row's modality is left out, else 1: ``[rows, sum(widths)]``; never more than one is left out."""
    import torch

    left_out = torch.randint(len(widths), (rows,), device=device)
    left_out = torch.where(torch.rand(rows, device=device) < rate, left_out, len(widths))
    shown = torch.arange(len(widths), device=device).unsqueeze(0) != left_out.unsqueeze(1)
    return shown.float().repeat_interleave(torch.tensor(list(widths), device=device), dim=1)


def log_frequency(items: np.ndarray, count: int, device: torch.device) -> Tensor:
    """Log of each item's share among ``items``, one added to every count: ``[N + 1]``, by item id."""
    import torch

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
    import torch

    optimizer = torch.optim.AdamW(
        module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    best, best_epoch, epoch = float("inf"), 0, 0
    weights = {key: value.clone() for key, value in module.state_dict().items()}
    while epoch < settings.epochs and epoch - best_epoch < settings.patience:
        epoch += 1
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
            watched_loss = float(np.mean([loss_of(batch).item() for batch in watched]))
        if not np.isfinite(watched_loss):
            raise MmctrError(
                f"{name}: the loss on held-out users became {watched_loss} in epoch {epoch}. Lower "
                f"embedding.{name}.learning_rate={settings.learning_rate:g} or raise temperature="
                f"{settings.temperature:g}."
            )
        if watched_loss < best:
            best, best_epoch = watched_loss, epoch
            weights = {key: value.clone() for key, value in module.state_dict().items()}
        idle = epoch - best_epoch
        logger.info(
            "%s epoch %d/%d: loss %.4f, on held-out users %.4f%s",
            name,
            epoch,
            settings.epochs,
            np.mean(losses),
            watched_loss,
            f"; no gain, {idle} of {settings.patience} before stopping" if idle else "",
        )
    module.load_state_dict(weights)
    return {"epochs": epoch, "best_epoch": best_epoch, "held_out_loss": round(best, 6)}


def encode_all(tower: nn.Module, content: Tensor, widths: Sequence[int], report: dict[str, Any]) -> Fused:
    """Every item through the tower, by both modalities and by each alone, with mean 0 and mean square 1 each."""
    import torch

    tower.eval()

    def encoded(shown: Tensor) -> np.ndarray:
        with torch.no_grad():
            vectors = np.concatenate([tower(part * shown).cpu().numpy() for part in content.split(8192)])
        return of_deviation_one(vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32))

    of_modality = torch.arange(len(widths)).repeat_interleave(torch.tensor(list(widths))).to(content.device)
    alone = [encoded((of_modality == modality).float()) for modality in range(len(widths))]
    return Fused(encoded(torch.ones_like(of_modality).float()), report, np.stack(alone))
