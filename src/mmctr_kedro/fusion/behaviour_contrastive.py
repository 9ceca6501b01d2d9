"""The content tower, taught that what the same users click belongs together.

In-batch contrastive loss (InfoNCE, van den Oord et al., 2018, arXiv:1807.03748) on pairs of neighbouring clicks, with
the candidates' log frequency subtracted (Yi et al., RecSys 2019), as content encoders are taught from behaviour in
arXiv:2502.00321.

Nothing is read but the histories of ``Material.train`` and the items clicked in train rows. The tower is trained apart
from any CTR model and stops by the pairs of users it never learns from.

N items, P pairs, U distinct items of a batch, W width.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import BehaviourContrastiveParams, EmbeddingParams, FinetuneParams
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.fusion.inputs import Fused, Material
from mmctr_kedro.fusion.tower import content_of, content_tower, encode_all, fit, item_vectors, log_frequency

if TYPE_CHECKING:
    from torch import Tensor, nn

Pairs = np.ndarray  # [P, 2] int64, item ids 1..N
WATCHED_BATCHES = 8  # of held-out pairs, after every epoch


def fuse(params: EmbeddingParams, material: Material) -> Fused:
    """Train the tower and send every item through it: ``[N, width]`` float32, mean 0, mean square 1."""
    import torch

    from mmctr_kedro.common.machine import reproducible

    settings = params.behaviour_contrastive
    learnt, held_out = pairs_of(material.train, settings)
    if len(learnt) < 2 or len(held_out) < 2:
        raise MmctrError(
            f"Variant 'behaviour_contrastive' learns from neighbouring clicks of one user, but train has {len(learnt)} "
            f"pairs to learn from and {len(held_out)} to stop by. Choose another: --params embedding.variant=concat_pca"
        )
    joined, widths = content_of(material, settings.components)
    with reproducible(settings) as device:
        content = torch.from_numpy(joined).to(device)
        frequency = torch.stack([log_frequency(side, len(content), device) for side in learnt.T])
        tower = content_tower(widths, params.width, settings).to(device)
        rng = np.random.default_rng(settings.seed)
        watched = _batches(some_pairs(held_out, WATCHED_BATCHES * settings.batch_size, rng), settings.batch_size)
        report = fit(
            "behaviour_contrastive",
            tower,
            lambda: _batches(rng.permutation(some_pairs(learnt, settings.pairs_per_epoch, rng)), settings.batch_size),
            partial(_loss, tower, content, widths, frequency, settings),
            watched,
            settings,
        )
        counts = {"pairs": len(learnt), "held_out_pairs": len(held_out)}
        return encode_all(tower, content, widths, counts | report)


# --- pairs -----------------------------------------------------------------------------------------------


def pairs_of(train: Clicks, settings: BehaviourContrastiveParams | FinetuneParams) -> tuple[Pairs, Pairs]:
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


def some_pairs(pairs: Pairs, most: int, rng: np.random.Generator) -> Pairs:
    """At most so many of the pairs, drawn without putting back."""
    return pairs[rng.choice(len(pairs), min(most, len(pairs)), replace=False, shuffle=False)]


def _batches(pairs: Pairs, size: int) -> list[Pairs]:
    """Cut into batches of ``size``; a rest of one pair, which has no negative, is left out unless it is all."""
    parts = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    return parts[:-1] if len(parts) > 1 and len(parts[-1]) == 1 else parts


# --- the loss --------------------------------------------------------------------------------------------


def _loss(
    tower: nn.Module,
    content: Tensor,
    widths: list[int],
    frequency: Tensor,
    settings: BehaviourContrastiveParams,
    pairs: Pairs,
) -> Tensor:
    """Mean over both directions of the cross entropy of picking each pair's other item among the batch's.

    Args:
        content: ``[N, sum(widths)]``, the modalities side by side.
        frequency: ``[2, N+1]``, log share of each item as the older and as the newer one of a pair.
    """
    import torch
    from torch.nn import functional as F

    items, index = np.unique(pairs, return_inverse=True)  # each item goes through the tower once
    item_U = torch.from_numpy(items).to(content.device)
    older_P, newer_P = torch.from_numpy(index.reshape(pairs.shape)).to(content.device).unbind(1)
    vectors_UW = item_vectors(tower, content, item_U, widths, settings)
    score_PP = vectors_UW[older_P] @ vectors_UW[newer_P].t() / settings.temperature
    loss = score_PP.new_zeros(())
    sides = ((score_PP, older_P, newer_P, frequency[1]), (score_PP.t(), newer_P, older_P, frequency[0]))
    for scores, asked, wanted, of_side in sides:
        candidates = scores - settings.popularity_correction * of_side[item_U][wanted]
        # Neither the wanted item where it stands in the batch again, nor the asked one, is a negative.
        again = (wanted.unsqueeze(0) == wanted.unsqueeze(1)).fill_diagonal_(False)
        itself = asked.unsqueeze(1) == wanted.unsqueeze(0)
        loss = loss + F.cross_entropy(
            candidates.masked_fill(again | itself, float("-inf")), torch.arange(len(pairs), device=scores.device)
        )
    return loss / 2
