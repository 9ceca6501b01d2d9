"""What every encoder keeps to that can be had by its name alone; those of many models have tests of their own."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from mmctr_kedro.encoders import IMAGE_ENCODERS, TEXT_ENCODERS
from mmctr_kedro.encoders.settings import ImageEncoderParams, TextEncoderParams

ROOT = Path(__file__).parents[2]
TEXTS = ["red fox", "a", "red fox. tags: animal, wood", "Łódź 東京 🦊", "red fox", "word " * 400]
KINDS = {"text": (TEXT_ENCODERS, TextEncoderParams), "image": (IMAGE_ENCODERS, ImageEncoderParams)}


def by_name_alone(kind: str, name: str) -> bool:
    try:
        return bool(KINDS[kind][1](name=name))
    except ValidationError:  # it needs a model
        return False


NAMED = [(kind, name) for kind, (table, _) in KINDS.items() for name in table if by_name_alone(kind, name)]


@pytest.fixture(scope="module", params=NAMED, ids=lambda named: named[1])
def encoder(request):
    kind, name = request.param
    table, params = KINDS[kind]
    return table[name](params(name=name, threads=1))


@pytest.fixture(scope="module")
def contents(encoder):
    """Six texts or covers, the fifth the same as the first."""
    if type(encoder) in TEXT_ENCODERS.values():
        return TEXTS
    pixels = np.random.default_rng(1).integers(0, 256, (6, encoder.side, encoder.side, 3), dtype=np.uint8)
    pixels[4] = pixels[0]
    return pixels


def test_a_content_has_one_vector_of_finite_float32_whatever_its_company(encoder, contents):
    vectors = encoder.encode(contents)
    assert vectors.shape == (6, encoder.width)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    for row in range(6):
        np.testing.assert_allclose(encoder.encode(contents[row : row + 1])[0], vectors[row], atol=1e-4)


def test_equal_contents_have_equal_vectors_and_others_have_others(encoder, contents):
    vectors = encoder.encode(contents)
    np.testing.assert_allclose(vectors[4], vectors[0], atol=1e-5)
    assert len(np.unique(vectors[:4].round(3), axis=0)) == 4


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_its_identity_is_plain_json_without_anything_being_loaded(kind, name):
    table, params = KINDS[kind]
    identity = table[name].identity(params(name=name))
    assert identity
    assert json.loads(json.dumps(identity)) == identity == table[name].identity(params(name=name, threads=3))


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_it_has_its_row_in_the_page_and_its_source(kind, name):
    assert re.search(
        rf"^\| `(embedding\.{kind}\.name: )?{name}`", (ROOT / "docs/embedding.md").read_text(), re.MULTILINE
    )
    opening = (ROOT / "src" / "mmctr_kedro" / "encoders" / f"{name}.py").read_text().split('"""')[1]
    assert "arXiv:" in opening
