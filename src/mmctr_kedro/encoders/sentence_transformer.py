"""Any text or image encoder that sentence-transformers can load: a hub model, or a folder on disk.

Its ``SentenceTransformer`` reads the publishers' own pooling, or pools plain transformers models by the mean, and calls
CLIP-like models by their text or image features. Nothing of that is done again here; what is added: a hub model must be
pinned to a commit, code from the hub runs only if it is asked for, and titles are never taken for links.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.images import DECODING
from mmctr_kedro.encoders.base import DTYPES, hub_identity, loading, torch_threads, versions
from mmctr_kedro.encoders.settings import (
    EncoderParams,
    ImageEncoderParams,
    SentenceTransformerParams,
    TextEncoderParams,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LIBRARIES = ("sentence-transformers", "transformers", "torch")


class _SentenceTransformerEncoder:
    """What both modalities share."""

    modality: ClassVar[str]
    width: int

    def __init__(self, params: Any) -> None:
        self._params, self._settings = params, params.sentence_transformer
        self._model = load(self._settings, self.modality)
        width = self._model.get_embedding_dimension()
        self.width = width or self._model.encode(["width"], show_progress_bar=False).shape[1]

    @classmethod
    def identity(cls, params: EncoderParams) -> dict[str, Any]:
        assert params.sentence_transformer is not None, "the settings class asks for it"
        return {**hub_identity(params.sentence_transformer), **versions(*LIBRARIES)}

    def _vectors(self, inputs: list[Any]) -> np.ndarray:
        with torch_threads(self._params.threads):
            vectors = self._model.encode(
                inputs,
                prompt=(self._settings.prompt or None) if self.modality == "text" else None,
                batch_size=self._params.batch_size,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=self._settings.normalize,
            )
        return np.asarray(vectors, dtype=np.float32).reshape(len(inputs), self.width)


class SentenceTransformerText(_SentenceTransformerEncoder):
    """Text encoder."""

    modality = "text"

    def __init__(self, params: TextEncoderParams) -> None:
        super().__init__(params)
        # SigLIP was trained on 64 tokens and takes the vector at the last place, be it padding; sentence-transformers
        # pads to a batch's longest text, so a vector would hang on its neighbours, and a longer text raise.
        module: Any = self._model[0]
        if str(getattr(getattr(module, "config", None), "model_type", "")).startswith("siglip"):
            places = module.config.text_config.max_position_embeddings
            length = min(self._settings.max_tokens or places, places)
            module.processing_kwargs = {"text": {"padding": "max_length", "max_length": length}}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of n texts, in their order: ``[n, width]`` float32."""
        return self._vectors(text_inputs(self._model, texts))


class SentenceTransformerImage(_SentenceTransformerEncoder):
    """Image encoder; covers arrive squeezed into the square that the model's own processor wants."""

    modality = "image"
    reads_text: ClassVar[bool] = False

    def __init__(self, params: ImageEncoderParams) -> None:
        super().__init__(params)
        self.side = side_of(self._model)

    @classmethod
    def identity(cls, params: EncoderParams) -> dict[str, Any]:
        return {"decoding": DECODING, **versions("pillow"), **super().identity(params)}

    def encode(self, pixels: np.ndarray, texts: Sequence[str] | None = None) -> np.ndarray:
        """Vectors of ``[n, side, side, 3]`` uint8 RGB images, in their order: ``[n, width]`` float32."""
        from PIL import Image

        return self._vectors([Image.fromarray(image) for image in pixels])


def load(settings: SentenceTransformerParams, modality: str) -> SentenceTransformer:
    """The model, in evaluation mode, quietly; from a folder nothing is looked up on the network.

    Raises:
        MmctrError: It is not there, is not safe to load (pickles, code), or does not read this modality.
    """
    setting = f"embedding.{modality}.sentence_transformer.model"
    with loading(f"{modality} encoder", settings.model, setting):
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Pooling

        model = SentenceTransformer(
            settings.model,
            device=None if settings.device == "auto" else settings.device,
            revision=settings.revision,
            trust_remote_code=settings.trust_remote_code,
            local_files_only=Path(settings.model).is_dir(),
            model_kwargs={"dtype": DTYPES[settings.precision], "use_safetensors": True},
        )
    if modality not in model.modalities:
        raise MmctrError(
            f"'{settings.model}' reads {', '.join(map(str, model.modalities))}, not {modality}: choose another for "
            f"{setting}"
        )
    if settings.pooling:  # in the place of the model's own
        places = [name for name, module in model.named_children() if isinstance(module, Pooling)]
        if not places:
            raise MmctrError(
                f"'{settings.model}' gives one vector an input, so pooling '{settings.pooling}' has nothing to pool: "
                "leave sentence_transformer.pooling out."
            )
        for name in places:
            setattr(model, name, Pooling(model[int(name)].embedding_dimension, settings.pooling))
    if modality == "text" and settings.max_tokens is not None:
        model.max_seq_length = settings.max_tokens
    return model.eval()


def text_inputs(model: SentenceTransformer, texts: Sequence[str]) -> list[Any]:
    """The texts as this model takes them: to one that reads images too, a title may not look like a link to one."""
    return [{"text": text} for text in texts] if len(model.modalities) > 1 else list(texts)


def side_of(model: SentenceTransformer) -> int:
    """Pixels of the square that the model's processor hands to the model."""
    images = getattr(model.processor, "image_processor", model.processor)
    for size in (getattr(images, "crop_size", None), getattr(images, "size", None)):
        for name in ("height", "shortest_edge", "longest_edge"):
            if size and (side := size.get(name) if isinstance(size, dict) else getattr(size, name, None)):
                return int(side)
    return 224
