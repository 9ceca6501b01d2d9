"""Which pieces a model is made of, decided on the valid rows: trained with and without each, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation.bootstrap import Resamples
from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.models.settings import CtrParams

logger = logging.getLogger(__name__)

ERRORS = 2.0  # a piece is kept where the valid AUC gains more standard errors of the paired difference than this
RESAMPLES = 500

Comparison = dict[str, Any]


@dataclass(frozen=True)
class Training:
    """A finished training."""

    params: CtrParams
    weights: dict[str, np.ndarray]
    history: list[dict[str, Any]]
    pctr: np.ndarray  # of the valid rows


def compare_pieces(
    params: CtrParams, valid: Clicks, train: Callable[[CtrParams], Training]
) -> tuple[Training, list[Comparison]]:
    """The training with those pieces of ``params.model`` that the valid rows gain by, and what was compared.

    A piece switched off after a joint training leaves another model than one trained without it, so both are trained.
    The standard error is that of a bootstrap over users, the same users for both.

    Returns:
        The training kept, and per comparison ``piece``, ``auc_with``, ``auc_without``, ``gain``, ``standard_error`` and
        ``kept``: whether the piece is.
    """
    best, compared = train(params), []
    label, resamples = np.asarray(valid.label), Resamples(valid.user, 1, RESAMPLES)
    for piece, (more, less) in params.model.to_compare().items():
        having, lacking = (
            best.params.model_copy(update={"model": best.params.model.model_copy(update=change)})
            for change in (more, less)
        )
        has = having == best.params
        logger.info("%s, trained again %s %s", params.model.name, "without" if has else "with", piece)
        other = train(lacking if has else having)
        trained = (best, other) if has else (other, best)
        auc_with, auc_without = (auc(label, of.pctr) for of in trained)
        drawn_with, drawn_without = (resamples.aucs(label, of.pctr) for of in trained)
        gain, error = auc_with - auc_without, float(np.nanstd(drawn_with - drawn_without))
        kept = gain > ERRORS * error
        found = {"auc_with": auc_with, "auc_without": auc_without, "gain": gain, "standard_error": error}
        compared.append({"piece": piece, **found, "kept": kept})
        verdict = "kept" if kept else "left out"
        logger.info("%s: valid AUC %+.4f (standard error %.4f) by it: %s", piece, gain, error, verdict)
        best = trained[0] if kept else trained[1]
    return best, compared
