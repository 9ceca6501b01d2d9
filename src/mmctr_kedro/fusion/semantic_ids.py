"""Residual quantisation: an item as a few codes, from coarse to fine, and the vector they stand for.

Semantic ids as in Singh et al., 2023 (arXiv:2306.08121) and 2504.02137, of behaviour-aligned vectors by default, as in
QARM (arXiv:2411.11739); here by k-means, level after level on what the levels before left over, with scikit-learn.
Task 1 is given the reconstruction, which is a vector like any other variant's. The codes themselves would be added
features to the fixed CTR model, so no pipeline hands them to it.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from mmctr_kedro.fusion.inputs import Fused, ItemInputs
from mmctr_kedro.fusion.linear import of_deviation_one
from mmctr_kedro.fusion.settings import EmbeddingParams

FLOOR = 1e-9  # a variance this small beside the first is rounding


def fuse(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """The sum of each item's centroids, one a level: ``[N, width]`` float32."""
    from mmctr_kedro.fusion import fuse as fuse_variant

    settings = params.semantic_ids
    base = fuse_variant(params, inputs, settings.of)
    codes, centroids = quantise(base.vectors, settings.levels, settings.codes, params.seed)
    report = reconstruction_report(base.vectors, codes, centroids)
    assert base.alone is not None
    return Fused(
        of_deviation_one(reconstruct(codes, centroids)),
        {"of": settings.of, **base.report, **report},
        np.stack([of_deviation_one(reconstruct(encode(vectors, centroids), centroids)) for vectors in base.alone]),
    )


def quantise(vectors: np.ndarray, levels: int, codes: int, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Codes of N items, and what each stands for.

    Args:
        vectors: ``[N, W]``.

    Returns:
        codes: ``[N, levels]`` int32.
        centroids: A level's ``[K, W]`` float32 each; K is ``codes``, or fewer where fewer vectors differ.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    rest, found, centroids = vectors.astype(np.float32), [], []
    for level in range(levels):
        kinds = min(codes, len(np.unique(rest, axis=0)))
        # The order of a sum depends on the number of threads. Codes that stay unused are in the report.
        with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            fitted = KMeans(kinds, n_init=1, random_state=seed + level).fit(rest)
        found.append(fitted.labels_.astype(np.int32))
        centroids.append(fitted.cluster_centers_.astype(np.float32))
        rest = rest - centroids[-1][found[-1]]
    return np.stack(found, axis=1), centroids


def encode(vectors: np.ndarray, centroids: list[np.ndarray]) -> np.ndarray:
    """Codes of other vectors ``[N, W]`` by the same centroids, the nearest at every level: ``[N, levels]`` int32."""
    from sklearn.metrics import pairwise_distances_argmin

    rest, found = vectors, []
    for centres in centroids:
        found.append(pairwise_distances_argmin(rest, centres).astype(np.int32))
        rest = rest - centres[found[-1]]
    return np.stack(found, axis=1)


def reconstruct(codes: np.ndarray, centroids: list[np.ndarray]) -> np.ndarray:
    """The sum over levels of the centroid of each code: ``[N, W]`` float32."""
    return np.sum([centres[code] for centres, code in zip(centroids, codes.T, strict=True)], axis=0)


def reconstruction_report(vectors: np.ndarray, codes: np.ndarray, centroids: list[np.ndarray]) -> dict[str, Any]:
    """Per level: codes in use, their perplexity, and the share of the variance that is still missing after it.

    ``items_with_own_codes``: how many items share all their codes with no other.
    """
    total = float(np.square(vectors - vectors.mean(axis=0), dtype=np.float64).sum())
    report = []
    for level in range(codes.shape[1]):
        counts = np.bincount(codes[:, level])
        share = counts[counts > 0] / len(codes)
        rest = vectors - reconstruct(codes[:, : level + 1], centroids[: level + 1])
        left = float(np.square(rest, dtype=np.float64).sum())
        report.append(
            {
                "codes": int((counts > 0).sum()),
                "perplexity": round(float(np.exp(-(share * np.log(share)).sum())), 2),
                "variance_missing": round(left / total, 6) if total > FLOOR else 0.0,
            }
        )
    _, sharing = np.unique(codes, axis=0, return_counts=True)
    return {"levels": report, "items_with_own_codes": int((sharing == 1).sum())}
