"""What fusions work with, and the steps that several of them share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from mmctr_kedro.data.clicks import Clicks

MODALITIES = ("text", "image")  # their order wherever each stands alone


@dataclass(frozen=True)
class ItemInputs:
    """All that may decide an item's vector; row i of each array belongs to item i + 1 of N."""

    text: np.ndarray  # [N, d] float32, from the text encoder; an item without words has the mean of the others
    image: np.ndarray  # [N, d] float32, from the image encoder; one without a usable cover has the mean
    provided: np.ndarray  # [N, 128] float32, the organisers' vectors
    train: Clicks  # histories and clicks to learn from; by default of train users, and of nobody else

    def only(self, modality: str) -> ItemInputs:
        """The same with ``text`` or ``image`` alone; the other modality is all zeros, which tells nothing."""
        other = "image" if modality == "text" else "text"
        return replace(self, **{other: np.zeros_like(getattr(self, other))})


class Fused(NamedTuple):
    """What a fusion made."""

    vectors: np.ndarray  # [N, width] float32
    report: dict[str, Any]  # how it went, plain JSON
    alone: np.ndarray | None = None  # [2, N, width] float32: of text alone and of covers alone; None: fuse those anew


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
