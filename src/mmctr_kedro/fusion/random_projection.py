"""Both modalities under one random matrix: the floor, which keeps distances and learns nothing.

Johnson and Lindenstrauss, 1984; by scikit-learn. What a fusion gains over this one, it gains by choosing.
"""

from __future__ import annotations

import numpy as np

from mmctr_kedro.fusion.inputs import Fused, ItemInputs, of_deviation_one, standardise
from mmctr_kedro.fusion.settings import EmbeddingParams


def fuse(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """Standardised columns times a Gaussian matrix drawn from ``params.seed``: ``[N, width]`` float32."""
    from sklearn.random_projection import GaussianRandomProjection

    joined = np.concatenate([standardise(inputs.text), standardise(inputs.image)], axis=1)
    projection = GaussianRandomProjection(params.width, random_state=params.seed)
    return Fused(of_deviation_one(projection.fit_transform(joined).astype(np.float32)), {})
