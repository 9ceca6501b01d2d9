"""Cover and text of an item read together, by a vision-language model of the Qwen family.

Qwen2-VL (arXiv:2409.12191), Qwen2.5-VL (arXiv:2502.13923) or Qwen3-VL (arXiv:2511.21631). The recipe of the
challenge's Task 1 winner (github.com/AdamLTy/mmctr-solusion-by-delorean, Qwen2.5-VL-7B) in words and code of our own:
the model is asked to analyse the item, and instead of its answer we take what it has read: the mean over all tokens of
the hidden state before the last, of length 1. sentence-transformers pools last hidden states only, hence transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.images import DECODING
from mmctr_kedro.encoders.base import DTYPES, hub_identity, loading, torch_threads, versions
from mmctr_kedro.encoders.settings import ImageEncoderParams, VisionLanguageParams

if TYPE_CHECKING:
    import torch

CHAT = "picture, text, prompt"  # what ``_chat`` makes; change this with it, as vectors are kept by it
_SETTING = "embedding.image.vision_language.model"


class VisionLanguage:
    """Image encoder that reads the item's text too."""

    reads_text: ClassVar[bool] = True

    def __init__(self, params: ImageEncoderParams) -> None:
        assert params.vision_language is not None, "the settings class asks for it"
        settings = self._settings = params.vision_language
        self._batch_size, self._threads = params.batch_size, params.threads
        self._model, self._tokenizer, self._images = load(settings)
        self._picture: str = self._tokenizer.convert_ids_to_tokens(self._model.config.image_token_id)
        language = self._model.config.get_text_config()
        self.side, self.width = settings.side, int(language.hidden_size)
        if not -language.num_hidden_layers - 1 <= settings.layer <= language.num_hidden_layers:
            raise MmctrError(
                f"'{settings.model}' has {language.num_hidden_layers} layers, so embedding.image.vision_language.layer "
                f"is from {-language.num_hidden_layers - 1} to {language.num_hidden_layers}; got {settings.layer}"
            )
        if self._chat("").count(self._picture) != 1:
            raise MmctrError(
                f"the chat template of '{settings.model}' gives a picture no place ({self._picture}), so the cover "
                f"cannot be shown: choose an instruction-tuned model of the Qwen-VL family for {_SETTING}"
            )

    @classmethod
    def identity(cls, params: ImageEncoderParams) -> dict[str, Any]:
        assert params.vision_language is not None, "the settings class asks for it"
        about = {"decoding": DECODING, "chat": CHAT, **versions("pillow", "transformers", "torch")}
        return {**about, **hub_identity(params.vision_language)}

    def encode(self, pixels: np.ndarray, texts: Sequence[str] | None = None) -> np.ndarray:
        """Vectors of n items, in their order: ``[n, width]`` float32.

        Args:
            pixels: ``[n, side, side, 3]`` uint8 RGB covers.
            texts: What is written of each; where empty, or without texts, the prompt alone goes with the cover.
        """
        import torch

        texts = [""] * len(pixels) if texts is None else texts
        assert len(texts) == len(pixels), f"{len(pixels)} covers come with {len(texts)} texts"
        vectors, layer = np.empty((len(pixels), self.width), dtype=np.float32), self._settings.layer
        with torch_threads(self._threads), torch.inference_mode():
            for start in range(0, len(pixels), self._batch_size):
                part = slice(start, start + self._batch_size)
                inputs = self._inputs(pixels[part], texts[part])
                # A list keeps that hidden state alone; True would keep those of every layer, of the vision tower's too.
                states = self._model(**inputs, use_cache=False, output_hidden_states=[layer]).hidden_states[layer]
                real = inputs["attention_mask"].unsqueeze(-1)
                # In fp32: a sum over hundreds of tokens in bf16 would lose digits.
                pooled = (states.float() * real).sum(1) / real.sum(1)
                if self._settings.normalize:
                    pooled = pooled / pooled.norm(dim=1, keepdim=True)
                vectors[part] = pooled.cpu().numpy()
        return vectors

    def _inputs(self, pixels: np.ndarray, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """What the family's own processors make of a picture and a chat.

        Theirs cannot be loaded without torchvision, which only their videos need (transformers issue 48558).
        """
        from PIL import Image

        covers = self._images(images=[Image.fromarray(image) for image in pixels], return_tensors="pt")
        places = (covers["image_grid_thw"].prod(-1) // self._images.merge_size**2).tolist()
        chats = [
            self._chat(text).replace(self._picture, self._picture * count)
            for text, count in zip(texts, places, strict=True)
        ]
        # On the right: a causal model lets no real token see padding there, whatever becomes of masks.
        tokens = self._tokenizer(
            chats, padding=True, padding_side="right", add_special_tokens=False, return_tensors="pt"
        )
        # The model numbers positions by this: those of a picture in two dimensions, padding not at all.
        kinds = (tokens["input_ids"] == self._model.config.image_token_id).int()
        inputs = {**covers, **tokens, "mm_token_type_ids": kinds}
        return {name: tensor.to(self._model.device) for name, tensor in inputs.items()}

    def _chat(self, text: str) -> str:
        """Cover, the first ``max_tokens`` of the text, and the prompt, as the family's chat template has them."""
        for token in self._tokenizer.get_added_vocab():  # a control token, such as a second picture
            text = text.replace(token, " ")
        limit = {"truncation": True, "max_length": self._settings.max_tokens}
        places = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, **limit)["offset_mapping"]
        text = text[: places[-1][1]] if places else ""
        # The prompt comes last: attention is causal, so each of its tokens has then read cover and text, and the mean
        # over them speaks of the item.
        words = "\n\n".join(part for part in (text, self._settings.prompt) if part)
        content = [{"type": "image"}, {"type": "text", "text": words}]
        return self._tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )


def load(settings: VisionLanguageParams) -> tuple[Any, Any, Any]:
    """Model in evaluation mode, tokenizer and image processor; from a folder nothing is looked up on the network.

    Raises:
        MmctrError: It is not there, incomplete, not safe to load (pickles, code), or no vision-language model.
    """
    source: dict[str, Any] = {
        "revision": settings.revision,
        "trust_remote_code": settings.trust_remote_code,
        "local_files_only": Path(settings.model).is_dir(),
    }
    with loading("vision-language encoder", settings.model, _SETTING):
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        # AutoModel: without the head that turns hidden states into words, which nobody needs here.
        model, found = AutoModel.from_pretrained(
            settings.model,
            dtype=DTYPES[settings.precision],
            use_safetensors=True,
            output_loading_info=True,
            **source,
        )
        tokenizer = AutoTokenizer.from_pretrained(settings.model, **source)
        images = AutoImageProcessor.from_pretrained(settings.model, **source)
    if getattr(model.config, "image_token_id", None) is None or not hasattr(images, "merge_size"):
        raise MmctrError(
            f"'{settings.model}' is no vision-language model of the Qwen family (model type "
            f"'{model.config.model_type}'): choose another for {_SETTING}"
        )
    # transformers would go on with random numbers in their place.
    if missing := sorted(found["missing_keys"]):
        raise MmctrError(f"'{settings.model}' lacks {len(missing)} weights, e.g. {missing[:3]}: fetch it again")
    from mmctr_kedro.common.machine import pick_device

    return model.to(pick_device(settings.device)).eval(), tokenizer, images
