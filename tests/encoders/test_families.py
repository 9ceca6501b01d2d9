"""Model families through sentence-transformers, against transformers' own output; tiny, of random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.encoders import IMAGE_ENCODERS, TEXT_ENCODERS
from mmctr_kedro.encoders.settings import ImageEncoderParams, TextEncoderParams

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
LAYERS = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TEXTS = ["cats", "a title about dogs", "rain"]
# A dual encoder in its publishers' own code, as jina-clip-v2 is; sentence-transformers 6 asks it for `modalities`.
OWN_CODE = """
import torch
from transformers import AutoProcessor, AutoModel

class Dual(torch.nn.Module):
    modalities = ["text", "image"]

    @classmethod
    def load(cls, folder):
        return cls(folder)

    def __init__(self, folder):
        super().__init__()
        self.processor, self.clip = AutoProcessor.from_pretrained(folder), AutoModel.from_pretrained(folder)

    def tokenize(self, inputs, **_):
        if isinstance(inputs[0], dict):
            texts = [each["text"] for each in inputs]
            return dict(self.processor(text=texts, padding=True, return_tensors="pt"))
        return dict(self.processor(images=inputs, return_tensors="pt"))

    def forward(self, features, **_):
        known = "pixel_values" in features
        feature = self.clip.get_image_features if known else self.clip.get_text_features
        names = ["pixel_values"] if known else ["input_ids", "attention_mask"]
        return {"sentence_embedding": feature(**{name: features[name] for name in names}).pooler_output}

    def get_embedding_dimension(self):
        return self.clip.config.projection_dim
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        CLIPConfig,
        CLIPImageProcessorPil,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizerFast,
        GemmaTokenizer,
        Qwen2Tokenizer,
        Qwen3Config,
        Qwen3Model,
        SiglipConfig,
        SiglipImageProcessorPil,
        SiglipModel,
        SiglipProcessor,
    )
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("models")
    # The fixed-resolution SigLIP 2 models are, to transformers, SigLIP with Gemma's tokenizer.
    pieces = {p: place for place, p in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS])}
    text = {**LAYERS, "vocab_size": len(pieces), "max_position_embeddings": 32, "projection_size": 16}
    image = {**LAYERS, "image_size": 32, "patch_size": 16}
    SiglipModel(SiglipConfig(text_config=text, vision_config=image)).save_pretrained(root / "siglip2")
    SiglipProcessor(
        SiglipImageProcessorPil(size={"height": 32, "width": 32}),
        GemmaTokenizer(vocab=pieces, merges=[], model_input_names=["input_ids"], padding_side="right"),
    ).save_pretrained(root / "siglip2")

    letters = {letter: place for place, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2Tokenizer(vocab=letters, merges=[], padding_side="left", model_max_length=64)
    sizes = {**LAYERS, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": len(tokenizer)}
    Qwen3Model(Qwen3Config(**sizes, bos_token_id=None, eos_token_id=None)).save_pretrained(root / "qwen3")
    tokenizer.save_pretrained(root / "qwen3")

    pieces = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    text = {**LAYERS, "vocab_size": len(pieces), "max_position_embeddings": 32, "bos_token_id": 0, "eos_token_id": 1}
    CLIPModel(CLIPConfig(text_config=text, vision_config=image, projection_dim=8)).save_pretrained(root / "own")
    (root / "vocab.json").write_text(json.dumps({piece: place for place, piece in enumerate(pieces)}))
    (root / "merges.txt").write_text("#version: 0.2\n")
    CLIPProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
        CLIPTokenizerFast(str(root / "vocab.json"), str(root / "merges.txt"), model_max_length=32),
    ).save_pretrained(root / "own")
    (root / "own" / "dual.py").write_text(OWN_CODE)
    (root / "own" / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "dual.Dual"}]))
    logging.enable_progress_bar()
    return {name: root / name for name in ("siglip2", "qwen3", "own")}


def text_encoder(model: Path, batch_size: int = 3, **settings):
    chosen = {"model": str(model), "device": "cpu", "normalize": False, **settings}
    return TEXT_ENCODERS["sentence_transformer"](
        TextEncoderParams(name="sentence_transformer", sentence_transformer=chosen, threads=1, batch_size=batch_size)
    )


def image_encoder(model: Path, **settings):
    chosen = {"model": str(model), "device": "cpu", "normalize": False, **settings}
    return IMAGE_ENCODERS["sentence_transformer"](
        ImageEncoderParams(name="sentence_transformer", sentence_transformer=chosen, threads=1, batch_size=2)
    )


def pictures(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_siglip2_text_is_padded_to_the_length_it_was_trained_at(models):
    import torch
    from transformers import AutoModel, AutoProcessor

    pieces = AutoProcessor.from_pretrained(models["siglip2"])(
        text=TEXTS, padding="max_length", max_length=32, return_tensors="pt"
    )
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(models["siglip2"]).eval().get_text_features(**pieces).pooler_output
    encoder = text_encoder(models["siglip2"])
    assert encoder.width == 16
    np.testing.assert_allclose(encoder.encode(TEXTS), expected.numpy(), atol=1e-4)
    np.testing.assert_allclose(encoder.encode(TEXTS[:1]), expected[:1].numpy(), atol=1e-4)


def test_siglip2_text_beyond_its_length_is_cut(models):
    encoder = text_encoder(models["siglip2"])
    assert np.isfinite(encoder.encode(["x" * 500])).all()
    cut = text_encoder(models["siglip2"], max_tokens=4)
    np.testing.assert_allclose(cut.encode(["abcdef", "x"])[0], cut.encode(["abcdeg"])[0], atol=1e-5)


def test_siglip2_images_are_the_models_image_features(models):
    import torch
    from transformers import AutoModel, AutoProcessor

    encoder = image_encoder(models["siglip2"])
    assert (encoder.width, encoder.side) == (16, 32)
    pixels = pictures(3, encoder.side)
    prepared = AutoProcessor.from_pretrained(models["siglip2"])(
        images=[Image.fromarray(image) for image in pixels], return_tensors="pt"
    )
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(models["siglip2"]).eval().get_image_features(**prepared).pooler_output
    np.testing.assert_allclose(encoder.encode(pixels), expected.numpy(), atol=1e-4)


def test_qwen3_embeds_by_the_last_token_whatever_the_padding(models):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(models["qwen3"]), AutoModel.from_pretrained(models["qwen3"]).eval()
    with torch.inference_mode():
        alone = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, -1].numpy() for text in TEXTS]
    assert tokenizer.padding_side == "left"
    for batch_size in (1, 3):
        encoder = text_encoder(models["qwen3"], batch_size, pooling="lasttoken")
        np.testing.assert_allclose(encoder.encode(TEXTS), np.stack(alone), atol=1e-4)


def test_publishers_own_code_runs_only_if_it_is_trusted(models):
    import torch
    from transformers import AutoModel, AutoProcessor

    for choose in (text_encoder, image_encoder):
        with pytest.raises(MmctrError, match=r"dual\.Dual"):
            choose(models["own"])
    text, image = (
        text_encoder(models["own"], trust_remote_code=True),
        image_encoder(models["own"], trust_remote_code=True),
    )
    assert (text.width, image.width, image.side) == (8, 8, 32)
    pixels, processor = pictures(2, 32), AutoProcessor.from_pretrained(models["own"])
    model = AutoModel.from_pretrained(models["own"]).eval()
    with torch.inference_mode():
        words = model.get_text_features(**processor(text=TEXTS, padding=True, return_tensors="pt")).pooler_output
        prepared = processor(images=[Image.fromarray(each) for each in pixels], return_tensors="pt")
        covers = model.get_image_features(**prepared).pooler_output
    np.testing.assert_allclose(text.encode(TEXTS), words.numpy(), atol=1e-4)
    np.testing.assert_allclose(image.encode(pixels), covers.numpy(), atol=1e-4)
