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

_ROWS_AT_A_TIME = 8192  # bounds the float64 copies; 91,717 items x 1,664 columns are 0.6 GB in float32 alone


def concat_pca(modalities: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Fuse vectors of N items by PCA.

    Args:
        modalities: One ``[N, d]`` float32 array each, rows in the same item order.
        width: Columns wanted. Where items or columns span fewer directions than that, the last ones are zero.

    Returns:
        ``[N, width]`` float32, columns by falling variance, mean 0, overall standard deviation 1.
    """
    joined = np.concatenate([standardise(vectors) for vectors in modalities], axis=1)
    scores = principal_components(joined, width)
    fused = np.zeros((len(joined), width), dtype=np.float32)
    fused[:, : scores.shape[1]] = scores
    spread = np.sqrt(np.mean(np.square(fused, dtype=np.float64)))
    return fused / np.float32(spread) if spread > 0 else fused


def standardise(vectors: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and equal variance, together 1: ``[N, d]`` float32. Constant columns become zero."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    deviation = vectors.std(axis=0, dtype=np.float64)
    # Rounding leaves a constant column with a deviation of about 1e-7 of its size: not something to blow up.
    varies = deviation > 1e-6 * np.maximum(np.abs(mean), 1e-6)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=varies)
    scale /= np.sqrt(max(varies.sum(), 1))
    return (vectors - mean.astype(np.float32)) * scale.astype(np.float32)


def principal_components(centred: np.ndarray, width: int) -> np.ndarray:
    """Scores of the first principal components: ``[N, at most width]`` float32, none without variance.

    From the eigenvectors of the smaller of covariance ``[d, d]`` and Gram matrix ``[N, N]``: a small part of
    the time a singular value decomposition takes. As in scikit-learn, the largest weight of each direction
    is positive, so that signs are not left to the linear algebra library.
    """
    by_columns = centred.shape[1] < centred.shape[0]
    values, vectors = _largest_eigenvectors(_products(centred if by_columns else centred.T), width)
    directions = vectors if by_columns else _times(centred.T, vectors) / np.sqrt(values)
    strongest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[strongest, np.arange(len(values))])
    return _times(centred, directions).astype(np.float32)


def _largest_eigenvectors(matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``count`` eigenvalues, falling, and their vectors as columns; zeros up to rounding left out."""
    from scipy.linalg import eigh

    size = len(matrix)
    values, vectors = eigh(matrix, subset_by_index=[max(size - count, 0), size - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    # Zeros of float32 data are some 1e-7 of the largest singular value, so 1e-14 of the largest eigenvalue.
    known = values > 1e-11 * values[0]
    return values[known], vectors[:, known]


def _products(rows: np.ndarray) -> np.ndarray:
    """``rows.T @ rows`` in float64, from a part of the rows at a time."""
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), _ROWS_AT_A_TIME):
        part = rows[start : start + _ROWS_AT_A_TIME].astype(np.float64)
        total += part.T @ part
    return total


def _times(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """``rows @ matrix`` in float64, from a part of the rows at a time."""
    starts = range(0, len(rows), _ROWS_AT_A_TIME)
    return np.concatenate(
        [rows[start : start + _ROWS_AT_A_TIME].astype(np.float64) @ matrix for start in starts]
    )
