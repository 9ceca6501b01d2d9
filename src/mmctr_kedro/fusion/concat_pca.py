"""Standardise each modality, put them side by side, and keep the directions of most variance.

The organisers' own recipe (BERT 768 + CLIP 1024, concatenated, PCA to 128), with two choices of ours:

- every modality enters with total variance 1, so that 1280 image columns do not outvote 384 text columns;
- the result is divided by one number, so that its entries have standard deviation 1 over items and columns.
  The fixed DIN feeds it to a Xavier-initialised linear layer, which expects inputs of about that size. One
  number, not one per column: whitening would raise the noise of the last directions to the first's level.

Both were checked on MovieLens by how well ridge regression predicts, from a film's vector, who watched it
(R2 of 30 co-watching directions, 2,292 films, 10 folds, standard error 0.004): as here 0.206, all columns
counted alike 0.186, whitened 0.191; text alone 0.208, covers alone 0.043.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def concat_pca(modalities: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Fuse vectors of N items by PCA.

    Args:
        modalities: One ``[N, d]`` float32 array each, rows in the same item order.
        width: Columns wanted. Where items or columns span fewer directions than that, the last ones are zero.

    Returns:
        ``[N, width]`` float32, columns by falling variance, mean 0, overall standard deviation 1.
    """
    from sklearn.decomposition import PCA

    joined = np.concatenate([standardise(vectors) for vectors in modalities], axis=1)
    items, columns = joined.shape
    fused = np.zeros((items, width), dtype=np.float32)
    if not joined.any():  # items without any difference
        return fused
    # The covariance's eigenvectors take a small part of an SVD's time; with few items the SVD is the small one.
    pca = PCA(min(width, items, columns), svd_solver="covariance_eigh" if items > columns else "full")
    fused[:, : pca.n_components] = pca.fit_transform(joined)
    return fused / np.float32(np.sqrt(np.mean(np.square(fused, dtype=np.float64))))


def standardise(vectors: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and equal variance, together 1: ``[N, d]`` float64. Constant columns become zero."""
    from sklearn.preprocessing import StandardScaler

    # float64: in float32 the rounding of a constant column would pass for variance.
    standard = StandardScaler(copy=False).fit_transform(vectors.astype(np.float64))
    varying = int(np.count_nonzero(standard.any(axis=0)))
    return standard / np.sqrt(max(varying, 1))
