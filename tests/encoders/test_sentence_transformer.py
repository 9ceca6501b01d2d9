"""Real loading and forward code on tiny models of random weights: BERT for text, CLIP for both, DINOv2 for images."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.encoders import IMAGE_ENCODERS, TEXT_ENCODERS
from mmctr_kedro.encoders.settings import ImageEncoderParams, SentenceTransformerParams, TextEncoderParams
from mmctr_kedro.fusion.settings import EmbeddingParams

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
LAYERS = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Folders of a tiny BERT and a tiny CLIP, as transformers saves them."""
    import torch
    from transformers import (
        BertConfig,
        BertModel,
        BertTokenizerFast,
        BitImageProcessorPil,
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizerFast,
        Dinov2Config,
        Dinov2Model,
    )
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("models")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    (root / "vocab.txt").write_text("\n".join(words))
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=64, **LAYERS)).save_pretrained(root / "bert")
    BertTokenizerFast(vocab=str(root / "vocab.txt")).save_pretrained(root / "bert")

    pieces = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    (root / "vocab.json").write_text(json.dumps({piece: place for place, piece in enumerate(pieces)}))
    (root / "merges.txt").write_text("#version: 0.2\n")
    text = {"vocab_size": len(pieces), "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 1, **LAYERS}
    image = {"image_size": 32, "patch_size": 16, **LAYERS}
    CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=8)).save_pretrained(root / "clip")
    CLIPProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        CLIPTokenizerFast(str(root / "vocab.json"), str(root / "merges.txt"), model_max_length=32),
    ).save_pretrained(root / "clip")

    vision = {"image_size": 28, "patch_size": 14, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    Dinov2Model(Dinov2Config(**vision)).save_pretrained(root / "dinov2")
    BitImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(
        root / "dinov2"
    )
    logging.enable_progress_bar()
    return {name: root / name for name in ("bert", "clip", "dinov2")}


def text_encoder(model: Path, **settings):
    chosen = {"model": str(model), "device": "cpu", **settings}
    return TEXT_ENCODERS["sentence_transformer"](
        TextEncoderParams(name="sentence_transformer", sentence_transformer=chosen, threads=1, batch_size=2)
    )


def image_encoder(model: Path, **settings):
    chosen = {"model": str(model), "device": "cpu", **settings}
    return IMAGE_ENCODERS["sentence_transformer"](
        ImageEncoderParams(name="sentence_transformer", sentence_transformer=chosen, threads=1, batch_size=2)
    )


def pictures(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_a_plain_bert_is_pooled_by_the_mean(models):
    import torch
    from transformers import AutoModel, AutoTokenizer

    pieces = AutoTokenizer.from_pretrained(models["bert"])("cats and dogs", return_tensors="pt")
    with torch.inference_mode():
        pooled = AutoModel.from_pretrained(models["bert"]).eval()(**pieces).last_hidden_state[0].mean(0).numpy()
    encoder = text_encoder(models["bert"], normalize=False)
    assert encoder.width == 16
    np.testing.assert_allclose(encoder.encode(["rain", "cats and dogs", "x"])[1], pooled, atol=1e-5)


def test_clips_image_vectors_are_its_image_features(models):
    import torch
    from transformers import AutoModel, AutoProcessor

    encoder = image_encoder(models["clip"])
    assert (encoder.width, encoder.side) == (8, 32)
    pixels = pictures(3, encoder.side)
    processor = AutoProcessor.from_pretrained(models["clip"])
    prepared = processor.image_processor([Image.fromarray(image) for image in pixels], return_tensors="pt")
    with torch.inference_mode():
        features = AutoModel.from_pretrained(models["clip"]).eval().get_image_features(**prepared)
    features = getattr(features, "pooler_output", features).numpy()
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(pixels), unit, atol=1e-5)


@pytest.mark.parametrize("pooling", [None, "mean", "cls"])
def test_dinov2_is_pooled_as_asked(models, pooling):
    import torch
    from transformers import AutoImageProcessor, AutoModel

    encoder = image_encoder(models["dinov2"], pooling=pooling, normalize=False)
    assert (encoder.width, encoder.side) == (16, 28)
    pixels = pictures(3, encoder.side)
    processor = AutoImageProcessor.from_pretrained(models["dinov2"])
    prepared = processor([Image.fromarray(image) for image in pixels], return_tensors="pt")
    with torch.inference_mode():
        tokens = AutoModel.from_pretrained(models["dinov2"]).eval()(**prepared).last_hidden_state
    expected = tokens[:, 0] if pooling == "cls" else tokens.mean(1)
    np.testing.assert_allclose(encoder.encode(pixels), expected.numpy(), atol=1e-5)


def test_a_model_that_pools_by_itself_takes_no_other_pooling(models):
    with pytest.raises(MmctrError, match="has nothing to pool"):
        image_encoder(models["clip"], pooling="cls")


def test_neighbours_and_order_do_not_change_a_vector(models):
    texts = ["cats", "a much longer title about dogs and the people they walk", "rain"]
    for name in ("bert", "clip"):
        encoder = text_encoder(models[name])
        np.testing.assert_allclose(encoder.encode(texts), encoder.encode(texts[::-1])[::-1], atol=1e-5)
        np.testing.assert_allclose(encoder.encode(texts)[0], encoder.encode(texts[:1])[0], atol=1e-5)
        assert encoder.encode([]).shape == (0, encoder.width)


def test_vectors_have_length_one_where_that_is_asked(models):
    lengths = [np.linalg.norm(text_encoder(models["bert"], normalize=on).encode(["cats"])) for on in (True, False)]
    assert lengths[0] == pytest.approx(1, abs=1e-5)
    assert lengths[1] != pytest.approx(1, abs=1e-2)


def test_a_prompt_and_a_cut_reach_the_model(models):
    plain, prompted = (text_encoder(models["bert"], prompt=prompt) for prompt in ("", "query "))
    np.testing.assert_allclose(prompted.encode(["cats"]), plain.encode(["query cats"]), atol=1e-5)
    cut = text_encoder(models["bert"], max_tokens=4)
    np.testing.assert_allclose(cut.encode(["a b c d e"]), cut.encode(["a b"]), atol=1e-5)


@pytest.mark.parametrize("title", ["https://example.org/cover.jpg", "data:image/png;base64,AAAA", "☃ 🎬", "x" * 5000])
def test_a_title_is_never_taken_for_a_link(models, title, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("bert", "clip"):
        assert np.isfinite(text_encoder(models[name]).encode([title, "cats"])).all()


def test_a_model_that_does_not_read_images_is_refused(models):
    with pytest.raises(MmctrError, match="reads text, not image"):
        image_encoder(models["bert"])


def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path):
    with pytest.raises(MmctrError, match=rf"text encoder '{tmp_path}' cannot be loaded"):
        text_encoder(tmp_path)


def test_a_hub_model_must_be_pinned():
    with pytest.raises(ValueError, match="set revision to the commit"):
        SentenceTransformerParams(model="sentence-transformers/LaBSE")
    assert not SentenceTransformerParams(model="sentence-transformers/LaBSE", revision="0" * 40).trust_remote_code


@pytest.mark.parametrize(
    "text", [{"name": "sentence_transformer"}, {"sentence_transformer": {"model": "a/b", "revision": "c"}}]
)
def test_the_name_and_the_model_come_together(text):
    with pytest.raises(ValueError, match="give both"):
        EmbeddingParams(text=text)


def test_bf16_vectors_are_nearly_those_of_fp32(models):
    exact, rough = (text_encoder(models["bert"], precision=name).encode(["cats and dogs"]) for name in ("fp32", "bf16"))
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, atol=0.03)
