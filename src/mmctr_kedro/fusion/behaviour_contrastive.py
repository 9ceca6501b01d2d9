"""A small tower over frozen text and image vectors, taught that what the same users click belongs together.

In-batch contrastive loss (InfoNCE, van den Oord et al., 2018, arXiv:1807.03748) on pairs of neighbouring clicks, with
the candidates' log frequency subtracted (Yi et al., RecSys 2019), as content encoders are taught from behaviour in
arXiv:2502.00321. An item is at times shown without its text or without its cover, so that one lacking either still
lands near its like.

Nothing is read but train: histories of train users and the items they clicked in train rows. The tower is trained
apart from any CTR model and stops by the pairs of users it never learns from. It knows items by content alone, so
an item that nobody clicked yet has a vector like any other.

N items, P pairs, D numbers of a modality, W width.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from mmctr_kedro.batch import Clicks
from mmctr_kedro.errors import MmctrError
from mmctr_kedro.fusion.material import Material, of_deviation_one, principal_components, standardise
from mmctr_kedro.params import BehaviourContrastiveParams, EmbeddingParams

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

Pairs = np.ndarray  # [P, 2] int64, item ids 1..N


def fuse(params: EmbeddingParams, material: Material) -> np.ndarray:
    """Train the tower and send every item through it: ``[N, width]`` float32, mean 0, mean square 1."""
    import torch

    from mmctr_kedro.training.machine import reproducible

    settings = params.behaviour_contrastive
    learnt, held_out = pairs_of(material.train, settings)
    if len(learnt) < 2 or len(held_out) < 2:
        raise MmctrError(
            f"Variant 'behaviour_contrastive' learns from neighbouring clicks of one user, but train has {len(learnt)} "
            f"pairs to learn from and {len(held_out)} to stop by. Choose another: --params embedding.variant=concat_pca"
        )
    # Standardised and at mean square 1, so that zeros stand for "not known"; fewer columns, less work.
    modalities = [
        principal_components(standardise(vectors), min(settings.components, vectors.shape[1]))
        for vectors in (material.text, material.image)
    ]
    widths = [vectors.shape[1] for vectors in modalities]
    with reproducible(settings) as device:
        content = torch.from_numpy(np.concatenate(modalities, axis=1)).to(device)
        tower = _train(content, widths, learnt, held_out, params.width, settings)
        vectors = _encode_all(tower, content)
    return of_deviation_one(vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32))


# --- pairs -----------------------------------------------------------------------------------------------


def pairs_of(train: Clicks, settings: BehaviourContrastiveParams) -> tuple[Pairs, Pairs]:
    """Clicks of one user at most ``window`` apart, older first: those to learn from, and those of held-out users.

    A train row that was clicked comes after its history. No pair is of one item with itself, and none comes twice
    for one user, however many histories of the same clicks a log has of that user.
    """
    clicks = np.diff(train.history_offsets)
    owner = np.repeat(np.arange(len(clicks)), clicks)
    rows = np.flatnonzero(np.asarray(train.label) == 1)
    begin, end = (train.history_offsets[:-1][train.history[rows]], train.history_offsets[1:][train.history[rows]])
    older, newer, history = [], [], []
    for lag in range(1, settings.window + 1):
        together = owner[lag:] == owner[:-lag]
        older.append(train.history_items[:-lag][together])
        newer.append(train.history_items[lag:][together])
        history.append(owner[lag:][together])
        reached = end - lag >= begin
        older.append(train.history_items[end[reached] - lag])
        newer.append(train.item[rows[reached]])
        history.append(train.history[rows[reached]])
    users, user = np.unique(train.history_user, return_inverse=True)
    found = np.stack([user[np.concatenate(history)], np.concatenate(older), np.concatenate(newer)], axis=1)
    found = np.unique(found[found[:, 1] != found[:, 2]].astype(np.int64), axis=0)
    stops = (np.random.default_rng(settings.seed).random(len(users)) < settings.held_out)[found[:, 0]]
    return found[~stops, 1:], found[stops, 1:]


# --- the tower -------------------------------------------------------------------------------------------


def _tower(widths: list[int], width: int, settings: BehaviourContrastiveParams) -> nn.Module:
    """``[n, D_text + D_image]`` to unit vectors ``[n, W]``."""
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


def _train(
    content: Tensor,
    widths: list[int],
    learnt: Pairs,
    held_out: Pairs,
    width: int,
    settings: BehaviourContrastiveParams,
) -> nn.Module:
    """The tower with the weights of the epoch whose loss on held-out pairs is smallest.

    Args:
        content: ``[N, sum(widths)]``, the modalities side by side.
    """
    import torch

    counts = np.stack([np.bincount(side, minlength=len(content) + 1) + 1.0 for side in learnt.T])
    log_frequency = torch.from_numpy(np.log(counts / counts.sum(axis=1, keepdims=True))).float().to(content.device)
    tower = _tower(widths, width, settings).to(content.device)
    optimizer = torch.optim.AdamW(
        tower.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    rng = np.random.default_rng(settings.seed)
    watched = _some(held_out, 8 * settings.batch_size, rng)
    best, idle = float("inf"), 0
    weights = {name: value.clone() for name, value in tower.state_dict().items()}
    for epoch in range(1, settings.epochs + 1):
        chosen = rng.permutation(_some(learnt, settings.pairs_per_epoch, rng))
        tower.train()
        losses = []
        for batch in _batches(chosen, settings.batch_size):
            optimizer.zero_grad()
            loss = _loss(tower, content, batch, log_frequency, widths, settings)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        tower.eval()
        with torch.no_grad():
            parts = _batches(watched, settings.batch_size)
            watched_loss = float(
                np.mean([_loss(tower, content, part, log_frequency, widths, settings).item() for part in parts])
            )
        if not np.isfinite(watched_loss):
            raise MmctrError(
                f"behaviour_contrastive: the loss on held-out users became {watched_loss} in epoch {epoch}. Lower "
                f"embedding.behaviour_contrastive.learning_rate={settings.learning_rate:g} or raise temperature="
                f"{settings.temperature:g}."
            )
        better = watched_loss < best
        idle = 0 if better else idle + 1
        if better:
            best, weights = watched_loss, {name: value.clone() for name, value in tower.state_dict().items()}
        logger.info(
            "behaviour_contrastive epoch %d/%d: loss %.4f, on held-out users %.4f%s",
            epoch,
            settings.epochs,
            np.mean(losses),
            watched_loss,
            f"; no gain, {idle} of {settings.patience} before stopping" if idle else "",
        )
        if idle >= settings.patience:
            break
    tower.load_state_dict(weights)
    return tower


def _some(pairs: Pairs, most: int, rng: np.random.Generator) -> Pairs:
    """At most so many of the pairs, drawn without putting back."""
    return pairs[rng.choice(len(pairs), min(most, len(pairs)), replace=False, shuffle=False)]


def _batches(pairs: Pairs, size: int) -> list[Pairs]:
    """Cut into batches of ``size``; a rest of one pair, which has no negative, is left out unless it is all."""
    parts = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    return parts[:-1] if len(parts) > 1 and len(parts[-1]) == 1 else parts


def _loss(
    tower: nn.Module,
    content: Tensor,
    pairs: Pairs,
    log_frequency: Tensor,
    widths: list[int],
    settings: BehaviourContrastiveParams,
) -> Tensor:
    """Mean over both directions of the cross entropy of picking each pair's other item among the batch's.

    Args:
        log_frequency: ``[2, N+1]``, of each item as the older and as the newer one of a pair.
    """
    import torch
    from torch.nn import functional as F

    items, index = np.unique(pairs, return_inverse=True)  # each item goes through the tower once
    item_U = torch.from_numpy(items).to(content.device)
    older_P, newer_P = torch.from_numpy(index.reshape(pairs.shape)).to(content.device).unbind(1)
    shown = content.index_select(0, item_U - 1)
    if tower.training and settings.modality_dropout:
        shown = shown * _shown_modalities(len(shown), widths, settings.modality_dropout, shown.device)
    vectors_UW = tower(shown)
    score_PP = vectors_UW[older_P] @ vectors_UW[newer_P].t() / settings.temperature
    loss = score_PP.new_zeros(())
    sides = ((score_PP, older_P, newer_P, log_frequency[1]), (score_PP.t(), newer_P, older_P, log_frequency[0]))
    for scores, asked, wanted, frequency in sides:
        candidates = scores - settings.popularity_correction * frequency[item_U][wanted]
        # Neither the wanted item where it stands in the batch again, nor the asked one, is a negative.
        again = (wanted.unsqueeze(0) == wanted.unsqueeze(1)).fill_diagonal_(False)
        itself = asked.unsqueeze(1) == wanted.unsqueeze(0)
        loss = loss + F.cross_entropy(
            candidates.masked_fill(again | itself, float("-inf")), torch.arange(len(pairs), device=scores.device)
        )
    return loss / 2


def _shown_modalities(rows: int, widths: list[int], rate: float, device: torch.device) -> Tensor:
    """0 where a row's modality is left out, else 1: ``[rows, sum(widths)]``; never more than one is left out."""
    import torch

    left_out = torch.randint(len(widths), (rows,), device=device)
    left_out = torch.where(torch.rand(rows, device=device) < rate, left_out, len(widths))
    shown = torch.arange(len(widths), device=device).unsqueeze(0) != left_out.unsqueeze(1)
    return shown.float().repeat_interleave(torch.tensor(widths, device=device), dim=1)


def _encode_all(tower: nn.Module, content: Tensor) -> np.ndarray:
    import torch

    tower.eval()
    with torch.no_grad():
        return np.concatenate([tower(part).cpu().numpy() for part in content.split(8192)])
