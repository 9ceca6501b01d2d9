"""The packaged EfficientNet-Lite0: the ONNX graph we write is the torch model, whatever the batch."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmctr_kedro.encoders import IMAGE_ENCODERS
from mmctr_kedro.encoders.efficientnet_lite0 import load_torch
from mmctr_kedro.encoders.settings import ImageEncoderParams

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())["efficientnet_lite0"]


@pytest.fixture(scope="module")
def encoder():
    return IMAGE_ENCODERS["efficientnet_lite0"](ImageEncoderParams())


def ramps(side: int = 224) -> np.ndarray:
    """Red grows to the right, green downwards, blue is a checkerboard of 32 pixels: ``[side, side, 3]``."""
    down, right = np.mgrid[0:side, 0:side]
    return np.stack([right, down, (right // 32 + down // 32) % 2 * 255], axis=-1).astype(np.uint8)


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)


def test_a_synthetic_image_has_the_published_models_vector(encoder):
    vectors = encoder.encode(ramps()[None])
    assert vectors.dtype == np.float32
    assert vectors.shape == (1, encoder.width)
    np.testing.assert_allclose(vectors[0, :8], GOLDEN["first"], atol=1e-4)
    np.testing.assert_allclose(vectors[0].mean(), GOLDEN["mean"], atol=1e-4)


def test_onnx_runtime_gives_the_torch_models_numbers(encoder):
    import torch

    pixels = np.concatenate([ramps()[None], noise(2)])
    with torch.inference_mode():
        x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
        expected = load_torch().extract_features(x).mean((2, 3)).numpy()
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-4)


def test_neighbours_and_order_do_not_change_a_vector(encoder):
    pixels = np.concatenate([ramps()[None], noise(4)])
    together = encoder.encode(pixels)
    np.testing.assert_allclose(together, encoder.encode(pixels[::-1])[::-1], atol=1e-5)
    np.testing.assert_allclose(together[:1], encoder.encode(pixels[:1]), atol=1e-5)


def test_the_same_pixels_give_the_same_bytes(encoder):
    again = IMAGE_ENCODERS["efficientnet_lite0"](ImageEncoderParams())
    assert encoder.encode(noise(3)).tobytes() == again.encode(noise(3)).tobytes()


def test_loading_and_encoding_print_nothing(capfd):
    IMAGE_ENCODERS["efficientnet_lite0"](ImageEncoderParams(threads=1)).encode(noise(1))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
