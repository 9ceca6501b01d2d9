"""PCA with every direction brought to the same variance, after Su et al., 2021 (arXiv:2103.15316).

It makes cosine similarity count rare differences as much as common ones. Directions that hold less than
``NOISE`` of the first one's deviation are left at zero instead of being blown up.
"""

from __future__ import annotations

import numpy as np

from mmctr_kedro.fusion.concat_pca import concat_pca
from mmctr_kedro.fusion.inputs import Fused, ItemInputs, of_deviation_one
from mmctr_kedro.fusion.settings import EmbeddingParams

NOISE = 1e-3


def fuse(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """``concat_pca`` with columns of equal variance: ``[N, width]`` float32."""
    components = concat_pca([inputs.text, inputs.image], params.width)
    deviation = components.std(axis=0, dtype=np.float64)
    real = deviation > NOISE * deviation.max(initial=0.0)
    white = components * np.where(real, 1 / np.where(real, deviation, 1), 0).astype(np.float32)
    return Fused(of_deviation_one(white), {})
