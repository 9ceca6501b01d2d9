"""PCA of both modalities, one counting more than the other.

As in an entry of the challenge that added 0.8 of jina-clip-v2's image vector and 0.2 of its text vector, from which the
defaults come. Here the weights are each modality's share of the variance, so encoders need no common space.
"""

from __future__ import annotations

import numpy as np

from mmctr_kedro.fusion.inputs import Fused, ItemInputs, principal_components, standardise
from mmctr_kedro.fusion.settings import EmbeddingParams


def fuse(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """Variance shared out by ``params.weighted``, then PCA: ``[N, width]`` float32."""
    shares = ((inputs.text, params.weighted.text), (inputs.image, params.weighted.image))
    joined = np.concatenate([np.sqrt(weight) * standardise(vectors) for vectors, weight in shares], axis=1)
    return Fused(principal_components(joined, params.width), {})
