"""Standardise each modality, put them side by side, and keep the directions of most variance.

The organisers' recipe (BERT 768 + CLIP 1024, concatenated, PCA to 128), with two choices of ours:

- every modality enters with total variance 1, so that 1280 image columns do not outvote 384 text columns;
- the result is divided by one number (``of_deviation_one``), not by one per column: whitening raises the noise of
  the last directions to the first's level (variant ``whitened``).

Both were checked on MovieLens by how well ridge regression predicts, from a film's vector, who watched it
(R2 of 30 co-watching directions, 2,292 films, 10 folds, standard error 0.004): as here 0.206, all columns
counted alike 0.186, whitened 0.191; text alone 0.208, covers alone 0.043.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmctr_kedro.fusion.inputs import Fused, ItemInputs, principal_components, standardise
from mmctr_kedro.fusion.settings import EmbeddingParams


def fuse(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """Text and image alike: ``[N, width]`` float32."""
    return Fused(concat_pca([inputs.text, inputs.image], params.width), {})


def concat_pca(modalities: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Fuse vectors of N items by PCA.

    Args:
        modalities: One ``[N, d]`` float32 array each, rows in the same item order.
        width: Columns wanted.

    Returns:
        ``[N, width]`` float32, as ``principal_components`` gives them.
    """
    return principal_components(np.concatenate([standardise(vectors) for vectors in modalities], axis=1), width)
