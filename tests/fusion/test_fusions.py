"""What every variant keeps to, and what each of the small ones does."""

import dataclasses

import numpy as np
import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.fusion import VARIANTS, fuse
from mmctr_kedro.fusion.linear import principal_components, standardise
from mmctr_kedro.fusion.settings import EmbeddingParams

TOWER = {"epochs": 2, "hidden": 16, "batch_size": 64, "threads": 1, "device": "cpu"}
QUICK = {"behaviour_contrastive": TOWER, "sequence": {**TOWER, "state": 8}}


def params(**settings) -> EmbeddingParams:
    return EmbeddingParams(**{**QUICK, **settings})


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_gives_finite_float32_vectors_of_the_width_and_the_same_bytes_twice(variant, inputs):
    """From arrays that cannot be written to."""
    first, second = (fuse(params(), inputs, variant).vectors for _ in range(2))
    assert first.shape == (len(inputs.text), 128)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant != "provided"])
def test_a_variant_of_another_width_has_mean_square_one(variant, inputs):
    found = fuse(params(width=16), inputs, variant).vectors
    assert found.shape == (len(inputs.text), 16)
    assert np.square(found).mean() == pytest.approx(1, abs=1e-4)


def test_items_without_any_difference_become_zeros_not_nan(inputs):
    alike = dataclasses.replace(inputs, text=np.ones_like(inputs.text), image=np.ones_like(inputs.image))
    for variant in ("concat_pca", "whitened", "weighted", "random_projection"):
        assert not fuse(params(), alike, variant).vectors.any(), variant


def test_the_setting_names_the_variant(inputs):
    by_setting = fuse(params(variant="whitened"), inputs).vectors
    assert np.array_equal(by_setting, fuse(params(), inputs, "whitened").vectors)
    assert not np.array_equal(by_setting, fuse(params(), inputs).vectors)


def test_whitened_directions_have_equal_variance_and_those_of_no_variance_stay_zero(inputs):
    found = fuse(params(width=128), inputs, "whitened").vectors
    deviation = found.std(axis=0)
    spanned = min(len(inputs.text) - 1, 32)
    np.testing.assert_allclose(deviation[:spanned], deviation[0], rtol=1e-3)
    assert not found[:, 32:].any()


def test_a_modality_of_weight_one_is_all_there_is(inputs):
    alone = fuse(params(width=8, weighted={"text": 1, "image": 0}), inputs, "weighted").vectors
    np.testing.assert_allclose(np.abs(alone), np.abs(principal_components(standardise(inputs.text), 8)), atol=1e-4)


def test_equal_weights_are_those_of_concat_pca(inputs):
    equal = fuse(params(width=8, weighted={"text": 0.5, "image": 0.5}), inputs, "weighted").vectors
    np.testing.assert_allclose(equal, fuse(params(width=8), inputs, "concat_pca").vectors, atol=1e-4)


def test_no_weight_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one modality"):
        params(weighted={"text": 0, "image": 0})


def test_a_random_projection_keeps_distances_roughly_and_follows_its_seed(inputs):
    found, other = (fuse(params(width=2048, seed=seed), inputs, "random_projection").vectors for seed in (1, 2))
    joined = fuse(params(width=32), inputs, "concat_pca").vectors  # all 32 directions: distances are kept exactly
    pairs = np.triu_indices(len(found), 1)

    def distances(vectors):
        length = np.linalg.norm(vectors[pairs[0]] - vectors[pairs[1]], axis=1)
        return length / length.mean()

    np.testing.assert_allclose(distances(found), distances(joined), rtol=0.25)
    assert not np.array_equal(found, other)


def test_provided_vectors_are_the_organisers_and_of_no_other_width(inputs):
    assert np.array_equal(fuse(params(), inputs, "provided").vectors, inputs.provided)
    with pytest.raises(MmctrError, match=r"width is 64.*embedding\.width=128"):
        fuse(params(width=64), inputs, "provided")
