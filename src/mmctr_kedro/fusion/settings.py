"""Settings of the embedding: encoders, and how a variant makes one vector of an item."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from mmctr_kedro.common.params import Params, RunControls
from mmctr_kedro.encoders.settings import ImageEncoderParams, TextEncoderParams


class WeightedParams(Params):
    """Share of the variance that each modality has before PCA (variant ``weighted``)."""

    text: float = Field(0.2, ge=0, description="Of titles.")
    image: float = Field(0.8, ge=0, description="Of covers.")

    @model_validator(mode="after")
    def _something_is_left(self) -> WeightedParams:
        if not self.text + self.image > 0:
            raise ValueError("text and image are both 0: at least one modality must count.")
        return self


class TowerParams(RunControls):
    """A content tower and its training; see fusion/tower.py."""

    components: int = Field(256, ge=1, description="Principal components of a modality that the tower sees.")
    hidden: int = Field(512, ge=1, description="Units of the tower's hidden layer.")
    temperature: float = Field(0.07, gt=0, description="Similarities are divided by it before softmax.")
    popularity_correction: float = Field(1.0, ge=0, le=1, description="1: subtract log frequency of a candidate.")
    modality_dropout: float = Field(0.2, ge=0, le=1, description="How often an item is shown without one modality.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Of the hidden layer.")
    learning_rate: float = Field(1e-3, gt=0, description="Of AdamW.")
    weight_decay: float = Field(1e-2, ge=0, description="Of AdamW.")
    epochs: int = Field(20, ge=1, description="At most.")
    patience: int = Field(2, ge=1, description="Epochs without a smaller loss on held-out users before stopping.")
    held_out: float = Field(0.05, gt=0, lt=1, description="Share of the users who decide when to stop.")


class BehaviourContrastiveParams(TowerParams):
    """Taught by who clicks what after what; see fusion/behaviour_contrastive.py."""

    window: int = Field(3, ge=1, description="Clicks of one history at most this far apart are a pair.")
    batch_size: int = Field(1024, ge=2, description="Pairs of a step; each is the others' negative.")
    pairs_per_epoch: int = Field(100_000, ge=2, description="Pairs drawn for an epoch, at most.")


class SequenceParams(TowerParams):
    """Taught by what comes next in whole histories; see fusion/sequence.py."""

    state: int = Field(128, ge=1, description="Units of the recurrent layer that reads a history.")
    recent: int = Field(20, ge=2, description="Newest clicks of a history that are read.")
    batch_size: int = Field(256, ge=1, description="Histories of a step; the items of each are the others' negatives.")
    histories_per_epoch: int = Field(50_000, ge=1, description="Histories drawn for an epoch, at most.")


class SemanticIdsParams(Params):
    """Residual quantisation of another variant's vectors; see fusion/semantic_ids.py."""

    of: Literal["concat_pca", "whitened", "weighted", "provided", "behaviour_contrastive", "sequence"] = Field(
        "behaviour_contrastive", description="The variant whose vectors are quantised."
    )
    levels: int = Field(4, ge=1, description="Codes of an item.")
    codes: int = Field(256, ge=1, description="Codes of a level.")


Variant = Literal[
    "concat_pca",
    "whitened",
    "weighted",
    "random_projection",
    "provided",
    "behaviour_contrastive",
    "sequence",
    "semantic_ids",
]


VARIANTS: tuple[str, ...] = get_args(Variant)


class EmbeddingParams(Params):
    """Item vectors from titles and covers (pipelines ``embedding`` and ``embedding_variants``)."""

    variant: Variant = Field(
        "concat_pca", description="How the vectors of titles and covers become one; docs/embedding.md."
    )
    width: int = Field(128, ge=1, description="Numbers per item; the challenge takes 128.")
    engine: Literal["local", "ray"] = Field("local", description="ray: encode by the workers of a Ray cluster.")
    histories: Literal["train", "published"] = Field(
        "train", description="What towers learn from; published: item_seq of all users, without train rows too."
    )
    modalities: Literal["both", "text", "image"] = Field("both", description="What a fusion sees of an item.")
    seed: int = Field(20242025, ge=0, lt=2**32, description="Of what draws; the towers have their own.")
    text: TextEncoderParams = TextEncoderParams()
    image: ImageEncoderParams = ImageEncoderParams()
    weighted: WeightedParams = WeightedParams()
    behaviour_contrastive: BehaviourContrastiveParams = BehaviourContrastiveParams()
    sequence: SequenceParams = SequenceParams()
    semantic_ids: SemanticIdsParams = SemanticIdsParams()
