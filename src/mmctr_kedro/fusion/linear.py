"""Fusions by a matrix: PCA of both modalities in three ways, a random projection, and the organisers' own vectors.

Each function is the variant of its name; the steps that they share, and trained fusions with them, stand below.

``concat_pca`` is the organisers' recipe (BERT 768 + CLIP 1024, concatenated, PCA to 128), with two choices of ours:

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

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.fusion.inputs import Fused, ItemInputs
from mmctr_kedro.fusion.settings import EmbeddingParams

NOISE = 1e-3  # of the first direction's deviation: less is noise, and whitening leaves it at zero


def concat_pca(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """The directions of most variance of both modalities side by side: ``[N, width]`` float32."""
    return Fused(principal_components(side_by_side([inputs.text, inputs.image]), params.width), {})


def weighted(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """PCA of both modalities, whose shares of the variance are ``params.weighted``: ``[N, width]`` float32.

    As in an entry of the challenge that added 0.8 of jina-clip-v2's image vector and 0.2 of its text vector, from which
    the defaults come. Shares of the variance need no common space of both encoders.
    """
    shares = (params.weighted.text, params.weighted.image)
    return Fused(principal_components(side_by_side([inputs.text, inputs.image], shares), params.width), {})


def whitened(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """PCA with every direction brought to the same variance, after Su et al., 2021 (arXiv:2103.15316).

    It makes cosine similarity count rare differences as much as common ones: ``[N, width]`` float32.
    """
    components = concat_pca(params, inputs).vectors
    deviation = components.std(axis=0, dtype=np.float64)
    real = deviation > NOISE * deviation.max(initial=0.0)
    white = components * np.where(real, 1 / np.where(real, deviation, 1), 0).astype(np.float32)
    return Fused(of_deviation_one(white), {})


def random_projection(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """Both modalities times a Gaussian matrix drawn from ``params.seed``: ``[N, width]`` float32.

    The floor, which keeps distances (Johnson and Lindenstrauss, 1984) and learns nothing: what a fusion gains over it,
    it gains by choosing.
    """
    from sklearn.random_projection import GaussianRandomProjection

    projection = GaussianRandomProjection(params.width, random_state=params.seed)
    joined = side_by_side([inputs.text, inputs.image])
    return Fused(of_deviation_one(projection.fit_transform(joined).astype(np.float32)), {})


def provided(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """item_info's ``item_emb_d128`` as it is, for comparison: ``[N, 128]`` float32; another width is refused."""
    vectors = np.asarray(inputs.provided, dtype=np.float32)
    if params.width != vectors.shape[1]:
        raise MmctrError(
            f"embedding.width is {params.width}, but variant 'provided' takes item_info's vectors of "
            f"{vectors.shape[1]} numbers as they are. Set --params embedding.width={vectors.shape[1]}, or choose "
            "another variant."
        )
    return Fused(vectors, {}, np.stack([vectors, vectors]))  # neither modality is read


def side_by_side(modalities: Sequence[np.ndarray], shares: Sequence[float] = (1.0, 1.0)) -> np.ndarray:
    """Standardised columns ``[N, d]`` of every modality, which holds this share of the variance: float64."""
    parts = [np.sqrt(share) * standardise(vectors) for vectors, share in zip(modalities, shares, strict=False)]
    return np.concatenate(parts, axis=1)


def standardise(vectors: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and equal variance, together 1: ``[N, d]`` float64. Constant columns become zero."""
    from sklearn.preprocessing import StandardScaler

    # float64: in float32 the rounding of a constant column would pass for variance.
    standard = StandardScaler(copy=False).fit_transform(vectors.astype(np.float64))
    varying = int(np.count_nonzero(standard.any(axis=0)))
    standard /= np.sqrt(max(varying, 1))
    return standard


def principal_components(joined: np.ndarray, width: int) -> np.ndarray:
    """The directions of most variance of ``[N, d]`` centred columns, at overall standard deviation 1.

    Returns:
        ``[N, width]`` float32, columns by falling variance, mean 0. Where items or columns span fewer directions
        than that, the last ones are zero.
    """
    from sklearn.decomposition import PCA

    items, columns = joined.shape
    found = np.zeros((items, width), dtype=np.float32)
    if not joined.any():  # items without any difference
        return found
    # The covariance's eigenvectors take a small part of an SVD's time; with few items the SVD is the small one.
    pca = PCA(min(width, items, columns), svd_solver="covariance_eigh" if items > columns else "full")
    found[:, : pca.n_components] = pca.fit_transform(joined)
    return of_deviation_one(found)


def of_deviation_one(vectors: np.ndarray) -> np.ndarray:
    """Divided by one number, so that entries have mean square 1 over items and columns; zeros stay zeros.

    The fixed DIN feeds the embedding to a Xavier-initialised linear layer, which expects inputs of about that size.
    """
    size = float(np.sqrt(np.mean(np.square(vectors, dtype=np.float64))))
    return (vectors / np.float32(size or 1.0)).astype(np.float32)
