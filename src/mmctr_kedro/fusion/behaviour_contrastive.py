"""The content tower, taught that what the same users click belongs together.

In-batch contrastive loss (InfoNCE, van den Oord et al., 2018, arXiv:1807.03748) on pairs of neighbouring clicks, with
the candidates' log frequency subtracted (Yi et al., RecSys 2019), as content encoders are taught from behaviour in
arXiv:2502.00321.

Nothing is read but the histories of ``ItemInputs.train`` and the items clicked in train rows. The tower is trained
apart from any CTR model and stops by the pairs of users it never learns from.

P pairs, U distinct items of a batch, W width.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.machine import reproducible
from mmctr_kedro.fusion.histories import WATCHED_BATCHES, Pairs, pairs_of, some_pairs
from mmctr_kedro.fusion.inputs import Fused, ItemInputs
from mmctr_kedro.fusion.settings import BehaviourContrastiveParams, EmbeddingParams
from mmctr_kedro.fusion.tower import ContentTower, fit, log_frequency


def fuse(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """Train the tower and send every item through it: ``[N, width]`` float32, mean 0, mean square 1."""
    settings = params.behaviour_contrastive
    learnt, held_out = pairs_of(inputs.train, settings)
    if len(learnt) < 2 or len(held_out) < 2:
        raise MmctrError(
            f"Variant 'behaviour_contrastive' learns from neighbouring clicks of one user, but train has {len(learnt)} "
            f"pairs to learn from and {len(held_out)} to stop by. Choose another: --params embedding.variant=concat_pca"
        )

    def batches(pairs: Pairs) -> list[Pairs]:
        """A rest of one pair, which has no negative, is left out unless it is all."""
        parts = [pairs[start : start + settings.batch_size] for start in range(0, len(pairs), settings.batch_size)]
        return parts[:-1] if len(parts) > 1 and len(parts[-1]) == 1 else parts

    with reproducible(settings) as device:
        tower = ContentTower(inputs, params.width, settings).to(device)
        frequency = torch.stack([log_frequency(side, len(inputs.text), device) for side in learnt.T])
        rng = np.random.default_rng(settings.seed)
        watched = batches(some_pairs(held_out, WATCHED_BATCHES * settings.batch_size, rng))
        report = fit(
            "behaviour_contrastive",
            tower,
            lambda: batches(rng.permutation(some_pairs(learnt, settings.pairs_per_epoch, rng))),
            lambda pairs: contrastive_loss(tower, pairs, frequency, settings),
            watched,
            settings,
        )
        return tower.encode_all({"pairs": len(learnt), "held_out_pairs": len(held_out)} | report)


def contrastive_loss(
    tower: Callable[[Tensor], Tensor], pairs: Pairs, frequency: Tensor, settings: BehaviourContrastiveParams
) -> Tensor:
    """Mean over both directions of the cross entropy of picking each pair's other item among the batch's.

    Args:
        tower: Item ids ``[U]`` to unit vectors ``[U, W]``.
        frequency: ``[2, N+1]``, log share of each item as the older and as the newer one of a pair.
    """
    items, index = np.unique(pairs, return_inverse=True)  # each item goes through the tower once
    item_U = torch.from_numpy(items).to(frequency.device)
    older_P, newer_P = torch.from_numpy(index.reshape(pairs.shape)).to(frequency.device).unbind(1)
    vectors_UW = tower(item_U)
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
