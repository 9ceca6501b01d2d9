"""PCA of both modalities, one counting more than the other.

As in one entry of the challenge (0.8 image + 0.2 text, there by adding vectors of one space): here the weights are
each modality's share of the variance, so they mean the same for encoders of any width.
"""

from __future__ import annotations

import numpy as np

from mmctr_kedro.fusion.material import Material, principal_components, standardise
from mmctr_kedro.params import EmbeddingParams


def fuse(params: EmbeddingParams, material: Material) -> np.ndarray:
    """Variance shared out by ``params.weighted``, then PCA: ``[N, width]`` float32."""
    shares = ((material.text, params.weighted.text), (material.image, params.weighted.image))
    return principal_components(
        np.concatenate([np.sqrt(weight) * standardise(vectors) for vectors, weight in shares], axis=1), params.width
    )
