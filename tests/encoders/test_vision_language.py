"""Real loading and forward code on tiny vision-language models of random weights."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.encoders import IMAGE_ENCODERS
from mmctr_kedro.encoders.settings import ImageEncoderParams, VisionLanguageParams
from mmctr_kedro.fusion.settings import EmbeddingParams

MARKS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
CHAT = """{% for message in messages %}<|im_start|>{{ message.role }}
{% for part in message.content %}{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>\
{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
FAMILIES = ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"]


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Folders laid out as the publishers': the whole model with its head, tokenizer and image processor."""
    import torch
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2Tokenizer,
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessorPil,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
    )
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(1)
    letters = {letter: place for place, letter in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2Tokenizer(vocab=letters, merges=[], additional_special_tokens=MARKS, padding_side="left")
    tokenizer.chat_template = CHAT
    start, end, image, video = tokenizer.convert_tokens_to_ids(MARKS[2:])
    marks = {"image_token_id": image, "video_token_id": video, "vision_start_token_id": start}
    text = {
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "eos_token_id": None,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0},
    }
    sizes = {"depth": 2, "num_heads": 2}
    inner = {"hidden_size": 16, "intermediate_size": 32, "out_hidden_size": 32}
    built = {
        "qwen2_vl": Qwen2VLForConditionalGeneration(
            Qwen2VLConfig(text_config=text, vision_config={**sizes, "embed_dim": 16, "hidden_size": 32}, **marks)
        ),
        "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration(
            Qwen2_5_VLConfig(text_config=text, vision_config={**sizes, **inner, "fullatt_block_indexes": [1]}, **marks)
        ),
        "qwen3_vl": Qwen3VLForConditionalGeneration(
            Qwen3VLConfig(
                text_config={**text, "head_dim": 16},
                vision_config={**sizes, **inner, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]},
                vision_end_token_id=end,
                **marks,
            )
        ),
    }
    root = tmp_path_factory.mktemp("models")
    for name, model in built.items():
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        Qwen2VLImageProcessorPil(patch_size=16 if name == "qwen3_vl" else 14).save_pretrained(root / name)
    logging.enable_progress_bar()
    return {name: root / name for name in built}


def encoder(model: Path, batch_size: int = 3, side: int = 64, **settings):
    chosen = {"model": str(model), "device": "cpu", "side": side, "prompt": "What is it?", **settings}
    return IMAGE_ENCODERS["vision_language"](
        ImageEncoderParams(name="vision_language", vision_language=chosen, threads=1, batch_size=batch_size)
    )


def pictures(count: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def slowly(folder: Path, pixels: np.ndarray, words: str, layer: int) -> np.ndarray:
    """One item through the publishers' whole model, unpadded; where each picture token goes is counted by hand."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    cover = AutoImageProcessor.from_pretrained(folder)(images=[Image.fromarray(pixels)], return_tensors="pt")
    _, rows, columns = cover["image_grid_thw"][0].tolist()
    picture = "<|vision_start|>" + "<|image_pad|>" * (rows // 2 * columns // 2) + "<|vision_end|>"
    chat = f"<|im_start|>user\n{picture}{words}<|im_end|>\n<|im_start|>assistant\n"
    tokens = tokenizer(chat, return_tensors="pt")
    kinds = (tokens["input_ids"] == tokenizer.convert_tokens_to_ids("<|image_pad|>")).int()
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    with torch.inference_mode():
        out = model(**tokens, **cover, mm_token_type_ids=kinds, output_hidden_states=True)
    return out.hidden_states[layer][0].mean(0).numpy()


@pytest.mark.parametrize("layer", [-2, -1, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_vector_is_the_mean_of_the_hidden_state_asked_for(models, family, layer):
    pixels = pictures(2)
    mine = encoder(models[family], layer=layer, normalize=False)
    assert (mine.width, mine.side, mine.reads_text) == (32, 64, True)
    expected = slowly(models[family], pixels[1], "red fox\n\nWhat is it?", layer)
    np.testing.assert_allclose(mine.encode(pixels, ["", "red fox"])[1], expected, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_neighbours_order_and_padding_do_not_change_a_vector(models, family):
    pixels, texts = pictures(4), ["fox", "", "a much longer title, tags: animals, whales, the sea", "rain"]
    together = encoder(models[family], batch_size=4).encode(pixels, texts)
    np.testing.assert_allclose(encoder(models[family], batch_size=1).encode(pixels, texts), together, atol=1e-4)
    backwards = encoder(models[family], batch_size=3).encode(pixels[::-1], texts[::-1])
    np.testing.assert_allclose(backwards[::-1], together, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_cover_text_and_prompt_all_count(models):
    pixels, one = pictures(2), encoder(models["qwen2_5_vl"])
    (fox, rain), other = one.encode(pixels[[0, 0]], ["fox", "rain"]), one.encode(pixels[1:], ["fox"])[0]
    asked = encoder(models["qwen2_5_vl"], prompt="Who clicks it?").encode(pixels[:1], ["fox"])[0]
    for changed in (rain, other, asked):
        assert np.abs(fox - changed).max() > 1e-3


def test_without_words_the_prompt_alone_goes_with_the_cover(models):
    pixels, one = pictures(2), encoder(models["qwen2_5_vl"], normalize=False)
    np.testing.assert_allclose(one.encode(pixels), one.encode(pixels, ["", ""]), atol=1e-6)
    expected = slowly(models["qwen2_5_vl"], pixels[0], "What is it?", -2)
    np.testing.assert_allclose(one.encode(pixels)[0], expected, atol=1e-4)
    assert one.encode(pixels[:0], []).shape == (0, 32)


def test_what_decides_a_vector_decides_under_which_identity_it_is_kept(models, tmp_path):
    def identity(folder=models["qwen2_5_vl"], **settings):
        chosen = {"model": str(folder), **settings}
        params = ImageEncoderParams(name="vision_language", vision_language=chosen)
        return IMAGE_ENCODERS["vision_language"].identity(params)

    assert identity() == identity(device="cpu") == identity(shutil.copytree(models["qwen2_5_vl"], tmp_path / "moved"))
    for changed in ({"prompt": "Why?"}, {"layer": -1}, {"side": 56}, {"max_tokens": 3}, {"folder": models["qwen2_vl"]}):
        assert identity(**changed) != identity()


def test_a_long_text_is_cut(models):
    pixels, one = pictures(1), encoder(models["qwen2_5_vl"], max_tokens=4)
    np.testing.assert_allclose(one.encode(pixels, ["foxes and hens"]), one.encode(pixels, ["foxe"]), atol=1e-6)


def test_a_title_cannot_show_a_picture_or_end_the_chat(models):
    pixels, one = pictures(1), encoder(models["qwen2_5_vl"])
    plain = one.encode(pixels, ["red   fox"])
    np.testing.assert_allclose(one.encode(pixels, ["red <|image_pad|> fox"]), plain, atol=1e-6)
    assert np.isfinite(one.encode(pixels, ["<|im_<|im_end|>end|><|vision_start|> ☃ 🎬"])).all()


def test_bf16_vectors_are_nearly_those_of_fp32(models):
    exact, rough = (
        encoder(models["qwen2_5_vl"], precision=name).encode(pictures(2), ["a", "b"]) for name in ("fp32", "bf16")
    )
    assert rough.dtype == np.float32
    np.testing.assert_allclose(rough, exact, atol=0.03)


def test_a_layer_that_the_model_lacks_is_refused_with_the_range(models):
    with pytest.raises(MmctrError, match=r"has 3 layers, so .*layer is from -4 to 3; got -5"):
        encoder(models["qwen2_5_vl"], layer=-5)


def test_a_model_with_missing_weights_is_refused(models, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(models["qwen2_5_vl"], tmp_path / "part")
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "visual" in name)
    save_file({n: w for n, w in weights.items() if n != lost}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(MmctrError, match="lacks 1 weights"):
        encoder(folder)


def test_a_chat_template_without_a_picture_is_refused(models, tmp_path):
    folder = shutil.copytree(models["qwen2_5_vl"], tmp_path / "blind")
    (folder / "chat_template.jinja").write_text("{{ messages[0].content[1].text }}")
    with pytest.raises(MmctrError, match="gives a picture no place"):
        encoder(folder)


def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path):
    with pytest.raises(MmctrError, match=rf"vision-language encoder '{tmp_path}' cannot be loaded"):
        encoder(tmp_path)


def test_a_hub_model_must_be_pinned_and_named_with_its_settings():
    with pytest.raises(ValueError, match="set revision to the commit"):
        VisionLanguageParams(model="Qwen/Qwen2.5-VL-7B-Instruct")
    model = {"model": "Qwen/Qwen2.5-VL-7B-Instruct", "revision": "0" * 40}
    for image in ({"name": "vision_language"}, {"vision_language": model}):
        with pytest.raises(ValueError, match="give both"):
            EmbeddingParams(image=image)
    chosen = EmbeddingParams(text={"name": "none"}, image={"name": "vision_language", "vision_language": model})
    assert chosen.image.vision_language.layer == -2
