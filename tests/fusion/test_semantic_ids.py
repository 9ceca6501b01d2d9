"""Codes stand for vectors, the more levels the closer, and the report says how close."""

import numpy as np
import pytest

from mmctr_kedro.fusion import fuse
from mmctr_kedro.fusion.semantic_ids import encode, quantise, reconstruct, reconstruction_report
from mmctr_kedro.fusion.settings import EmbeddingParams


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((300, 6)).astype(np.float32)


def test_every_level_leaves_less_and_the_report_says_how_much(vectors):
    codes, centroids = quantise(vectors, levels=3, codes=8, seed=1)
    assert codes.shape == (300, 3)
    assert codes.min() == 0
    assert codes.max() < 8
    report = reconstruction_report(vectors, codes, centroids)
    missing = [level["variance_missing"] for level in report["levels"]]
    assert 1 > missing[0] > missing[1] > missing[2] > 0
    left = np.square(vectors - reconstruct(codes, centroids)).sum() / np.square(vectors - vectors.mean(0)).sum()
    assert missing[2] == pytest.approx(left, abs=1e-5)
    assert all(1 <= level["perplexity"] <= level["codes"] <= 8 for level in report["levels"])
    distinct, counts = np.unique(codes, axis=0, return_counts=True)
    assert report["items_with_own_codes"] == (counts == 1).sum()
    assert len(distinct) > 50


def test_as_many_codes_as_items_lose_nothing_and_more_are_not_made_up(vectors):
    codes, centroids = quantise(vectors[:20], levels=2, codes=64, seed=1)
    assert len(centroids[0]) == 20
    np.testing.assert_allclose(reconstruct(codes, centroids), vectors[:20], atol=1e-6)


def test_vectors_that_were_quantised_get_their_own_codes_back(vectors):
    codes, centroids = quantise(vectors, levels=2, codes=8, seed=1)
    assert (encode(vectors, centroids) == codes).mean() > 0.99  # k-means may stop a step before the last assignment


def test_the_variant_is_the_reconstruction_of_another_and_reports_which(inputs):
    settings = {"of": "concat_pca", "levels": 3, "codes": 16}
    found = fuse(EmbeddingParams(width=8, semantic_ids=settings), inputs, "semantic_ids")
    whole = fuse(EmbeddingParams(width=8), inputs, "concat_pca").vectors
    assert found.report["of"] == "concat_pca"
    missing = found.report["levels"][-1]["variance_missing"]
    assert np.corrcoef(found.vectors.ravel(), whole.ravel())[0, 1] == pytest.approx(np.sqrt(1 - missing), abs=0.02)
    assert found.alone.shape == (2, len(whole), 8)


def test_it_cannot_be_made_of_itself():
    with pytest.raises(ValueError, match=r"semantic_ids\.of"):
        EmbeddingParams(semantic_ids={"of": "semantic_ids"})
