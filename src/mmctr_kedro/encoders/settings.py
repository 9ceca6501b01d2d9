"""Settings of the encoders of titles and covers, and of tuning one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from mmctr_kedro.common.params import Params, RunControls
from mmctr_kedro.data.settings import MostUnusable


class HubModelParams(Params):
    """A pretrained model, from a folder or the hub, and how it runs."""

    model: str = Field(min_length=1, description="A folder, or a hub id such as sentence-transformers/LaBSE.")
    revision: str | None = Field(None, description="Commit of a hub model: without it a repeat may get other weights.")
    trust_remote_code: bool = Field(
        False, description="True: run code that strangers wrote, with your rights; read it first."
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="Of the arithmetic and of the weights.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where torch finds it.")
    normalize: bool = Field(True, description="Vectors of length 1.")

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if self.revision is None and not Path(self.model).is_dir():
            raise ValueError(
                f"'{self.model}' is no folder here, so it is a hub model: set revision to the commit to use, or give "
                "the path of a folder that holds it."
            )
        pinned = Path(self.model).is_dir() or re.fullmatch("[0-9a-f]{40}", str(self.revision))
        if self.trust_remote_code and not pinned:
            raise ValueError(
                f"trust_remote_code runs what the publishers of '{self.model}' wrote: revision must be a whole commit "
                "(40 hexadecimal digits), which nobody can change; a branch or a tag can be."
            )
        return self


class SentenceTransformerParams(HubModelParams):
    """An encoder that sentence-transformers loads; see encoders/sentence_transformer.py."""

    pooling: Literal["cls", "mean", "max", "lasttoken"] | None = Field(
        None, description="Of token vectors, in place of the model's own; None: its own, or the mean where it has none."
    )
    prompt: str = Field("", description="Put before every text.")
    max_tokens: int | None = Field(None, ge=1, description="Texts are cut there; None: as the model has it.")


class VisionLanguageParams(HubModelParams):
    """A vision-language model that reads cover and text together; see encoders/vision_language.py."""

    prompt: str = Field(
        "The picture is the cover of a short video; any words before this are its title and tags. Say what the video "
        "is about, what kind of video it is, who and what can be seen, in which style and mood, and which viewers "
        "would click it, so that videos liked by the same people are described alike.",
        description="Follows cover and text; our own wording.",
    )
    layer: int = Field(
        -2, description="The hidden state that is pooled, as transformers counts them: 0 word vectors, -1 the last."
    )
    side: int = Field(448, ge=28, description="Pixels of the square cover; whole patches serve best, e.g. 16 x 28.")
    max_tokens: int = Field(256, ge=1, description="Tokens of an item's text; the rest is cut.")


class EncoderParams(Params):
    """What encoders of text and images share."""

    name: str
    sentence_transformer: SentenceTransformerParams | None = Field(
        None, description="Which model; needed by, and for, the name sentence_transformer."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; None takes one per core.")

    @model_validator(mode="after")
    def _a_model_is_named_where_one_is_needed(self) -> Self:
        for choice in ("sentence_transformer", "vision_language"):
            model = getattr(self, choice, None)  # there is no vision_language for text
            if (self.name == choice) != (model is not None):
                raise ValueError(
                    f"name is '{self.name}' and {choice} is {'not set' if model is None else 'set'}: give both, e.g. "
                    f"name: {choice}, {choice}: {{model: path/to/folder}}"
                )
        return self

    @property
    def pretrained(self) -> HubModelParams | None:
        """The model that is named, where the encoder is one of many."""
        return self.sentence_transformer or getattr(self, "vision_language", None)


class TextEncoderParams(EncoderParams):
    """How titles become vectors."""

    name: Literal["minilm", "sentence_transformer", "item_feature", "none"] = Field(
        "minilm",
        description="item_feature: that file's own txt_emb_BERT, nothing is encoded. none: no text encoder, for an "
        "image encoder that reads the text itself.",
    )
    batch_size: int = Field(64, ge=1, description="Texts per forward pass.")


class ImageEncoderParams(EncoderParams):
    """How covers become vectors."""

    name: Literal["efficientnet_lite0", "sentence_transformer", "vision_language", "item_feature"] = Field(
        "efficientnet_lite0", description="item_feature: that file's own img_emb_CLIPRN50, nothing is encoded."
    )
    vision_language: VisionLanguageParams | None = Field(
        None, description="Which model; needed by, and for, the name vision_language."
    )
    batch_size: int = Field(64, ge=1, description="Covers decoded and encoded at a time.")
    smallest_side: int = Field(8, ge=1, description="Pixels; a cover with a shorter side counts as tiny.")
    most_unusable_covers: MostUnusable = 0.9


class FinetuneParams(RunControls):
    """An encoder of ``embedding`` tuned by clicks (pipeline ``finetune``); see encoders/lora.py."""

    modality: Literal["text", "image"] = Field("text", description="Whose encoder: embedding.text or embedding.image.")
    seed: int = Field(20242025, ge=0, lt=2**32, description="Of the pairs, the adapters and who is held out.")
    rank: int = Field(8, ge=1, description="Width of an adapter.")
    alpha: int = Field(16, ge=1, description="What an adapter learns counts alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Of what an adapter sees.")
    target_modules: tuple[str, ...] | None = Field(
        None, min_length=1, description="Layers that get an adapter, by the end of their names; None: all linear ones."
    )
    learning_rate: float = Field(5e-4, gt=0, description="Rises over the first tenth of the steps, then falls to 0.")
    temperature: float = Field(0.05, gt=0, description="Similarities are divided by it before softmax.")
    batch_size: int = Field(64, ge=2, description="Pairs of a step; each is the others' negative.")
    pairs_per_epoch: int = Field(10_000, ge=2, description="Pairs drawn for an epoch, at most.")
    epochs: int = Field(3, ge=1, description="At most.")
    patience: int = Field(1, ge=1, description="Epochs without a smaller loss on held-out users before stopping.")
    window: int = Field(3, ge=1, description="Clicks of one history at most this far apart are a pair.")
    held_out: float = Field(
        0.05, gt=0, lt=1, description="Share of the users who decide when to stop; with seed, who they are."
    )
