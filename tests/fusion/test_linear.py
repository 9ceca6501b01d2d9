"""The fusion by PCA, against numbers worked out by hand."""

import numpy as np
import pytest

from mmctr_kedro.fusion.linear import principal_components, side_by_side, standardise


def concat_pca(modalities: list[np.ndarray], width: int) -> np.ndarray:
    return principal_components(side_by_side(modalities), width)


def two_modalities(items: int, text: int = 6, image: int = 20) -> list[np.ndarray]:
    random = np.random.default_rng(11)
    shared = random.standard_normal((items, 3))
    return [
        (shared @ random.standard_normal((3, width)) + random.standard_normal((items, width))).astype(np.float32)
        for width in (text, image)
    ]


def test_a_column_is_standardised_by_hand():
    # Mean 3, deviation 2; two varying columns share a total variance of 1; the constant one adds nothing.
    vectors = np.array([[1, 10, 7], [5, 30, 7], [1, 10, 7], [5, 30, 7]], dtype=np.float32)
    half = np.sqrt(0.5)
    expected = [[-half, -half, 0], [half, half, 0]] * 2
    np.testing.assert_allclose(standardise(vectors), expected, atol=1e-6)


def test_every_modality_enters_with_the_same_total_variance():
    for vectors in two_modalities(500, text=4, image=40):
        assert standardise(vectors).var(axis=0).sum() == pytest.approx(1.0, abs=1e-5)


def test_a_constant_column_stays_zero_although_float32_cannot_hold_its_mean():
    assert not standardise(np.full((1001, 3), 0.1, dtype=np.float32)).any()


def test_points_on_a_line_become_their_places_on_it():
    # Both columns hold the same places -1, 0, 1: one direction, and the spread counts the empty column too.
    line = np.array([[-1.0], [0.0], [1.0]], dtype=np.float32)
    places = np.array([[-1, 0], [0, 0], [1, 0]]) * np.sqrt(3)
    np.testing.assert_allclose(concat_pca([line, line], width=2), places, atol=1e-6)


@pytest.mark.parametrize("items", [200, 15], ids=["more items than columns", "fewer items than columns"])
def test_both_solvers_find_the_principal_components(items):
    joined = np.concatenate([standardise(vectors) for vectors in two_modalities(items)], axis=1)
    expected = np.linalg.svd(joined, full_matrices=False)[1][:8]
    fused = concat_pca(two_modalities(items), width=8).astype(np.float64)
    lengths = np.linalg.norm(fused, axis=0)
    np.testing.assert_allclose(lengths / lengths[0], expected / expected[0], atol=1e-5)
    np.testing.assert_allclose(fused.T @ fused, np.diag(lengths**2), atol=1e-3)


def test_columns_come_by_falling_variance_and_the_whole_has_deviation_one():
    fused = concat_pca(two_modalities(300), width=10)
    assert (np.diff(fused.var(axis=0)) <= 1e-6).all()
    assert fused.std() == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(fused.mean(axis=0), 0, atol=1e-5)


def test_a_width_beyond_what_the_items_span_is_filled_with_zeros():
    fused = concat_pca(two_modalities(12), width=128)
    assert fused.shape == (12, 128)
    assert (fused.std(axis=0) > 1e-4).sum() == 11  # 12 points span 11 directions
    assert np.isfinite(fused).all()


def test_items_without_any_difference_become_zeros():
    assert not concat_pca([np.ones((5, 3), dtype=np.float32)] * 2, width=4).any()


def test_a_mean_vector_is_neutral():
    """What stands in for a missing cover is zero once standardised."""
    vectors = two_modalities(50)[0]
    vectors[7] = np.delete(vectors, 7, axis=0).mean(axis=0)
    np.testing.assert_allclose(standardise(vectors)[7], 0, atol=1e-6)


def test_the_order_of_items_does_not_change_an_item():
    modalities = two_modalities(80)
    order = np.random.default_rng(1).permutation(80)
    shuffled = concat_pca([vectors[order] for vectors in modalities], width=5)
    np.testing.assert_allclose(shuffled, concat_pca(modalities, width=5)[order], atol=1e-4)
