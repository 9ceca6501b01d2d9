"""Ways to make one vector of all that is known of an item. One fusion, one file; the table is ``embedding.variant``.

A file's ``fuse(params, material)`` gives ``[N, width]`` float32, row i for item i + 1. Light to import: what a
fusion needs comes with its first call.
"""

from __future__ import annotations

from importlib import import_module

import numpy as np

from mmctr_kedro.fusion.material import Material
from mmctr_kedro.params import VARIANTS, EmbeddingParams

__all__ = ["VARIANTS", "Material", "fuse"]


def fuse(params: EmbeddingParams, material: Material, variant: str | None = None) -> np.ndarray:
    """The vectors of a variant, by default the one that ``params`` names: ``[N, width]`` float32."""
    name = variant or params.variant
    return import_module(f"mmctr_kedro.fusion.{name}").fuse(params, material)
