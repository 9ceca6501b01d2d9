"""Ways to make one vector of all that is known of an item; their table is ``embedding.variant``.

A fusion by a matrix is a function in linear.py, one that learns has a file of its own; both are found by the variant's
name. ``(params, inputs)`` gives ``Fused``: vectors, row i for item i + 1, and a report. Light to import: what a fusion
needs comes with its first call.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np

from mmctr_kedro.fusion import linear
from mmctr_kedro.fusion.inputs import MODALITIES, Fused, ItemInputs
from mmctr_kedro.fusion.settings import VARIANTS, EmbeddingParams

__all__ = ["MODALITIES", "VARIANTS", "Fused", "ItemInputs", "fuse"]


def fuse(params: EmbeddingParams, inputs: ItemInputs, variant: str | None = None) -> Fused:
    """What a variant makes of the items, by default the one that ``params`` names; ``alone`` is always filled.

    Towers are asked for one modality as they were trained to be; other fusions are made again of one modality.
    """
    name = variant or params.variant
    method = getattr(linear, name, None) or import_module(f"mmctr_kedro.fusion.{name}").fuse
    fused: Fused = method(params, inputs if params.modalities == "both" else inputs.only(params.modalities))
    if fused.alone is None:
        fused = fused._replace(
            alone=np.stack([method(params, inputs.only(modality)).vectors for modality in MODALITIES])
        )
    return fused
