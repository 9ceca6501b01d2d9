"""Every setting of the project, typed and validated. One class per ``params:`` block of conf/.

Kedro builds these from YAML before the first node runs; an unknown or misspelt key is an error with a
suggestion. Defaults live here, so that YAML holds only what an environment chooses.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmctr_kedro.common.errors import MmctrError

TASKS = ("task1", "task2", "task1_and_2")  # the submission types; also namespaces and blocks of parameters


def suggest(unknown: str, known: list[str]) -> str:
    """Say that a key is unknown, with the nearest known one and the full list."""
    near = difflib.get_close_matches(unknown, known, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown setting '{unknown}'.{hint} Known: {', '.join(known)}."


class Params(BaseModel):
    """Base of all settings: frozen, nothing extra, suggestions for misspelt keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _name_the_misspelt(cls, values: Any) -> Any:
        if isinstance(values, dict) and (unknown := [key for key in values if key not in cls.model_fields]):
            raise ValueError(" ".join(suggest(str(key), list(cls.model_fields)) for key in unknown))
        return values


class RunControls(Params):
    """Where a training runs, and its random state."""

    seed: int = Field(20242025, ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(2, ge=1, description="CPU threads; equal bytes need equally many, on any machine.")


# --- data_processing -------------------------------------------------------------------------------------


class SourceParams(Params):
    """Where the challenge's raw files come from."""

    name: Literal["simulated", "interaction_log", "challenge_files"] = "simulated"


Negatives = Literal["uniform", "popularity", "pool"]


class WorldParams(Params):
    """The simulated world (pipeline ``simulate``). Rows come in fours: one click, three not. See docs/world.md.

    A law is a name for several settings at once; each left out, or null, is the law's own.
    """

    laws: ClassVar[dict[str, dict[str, Any]]] = {
        # As the real data must be drawn, by all that is published about them (docs/world.md).
        "challenge": {
            "train_negatives": "pool",
            "negatives_exponent": 0.75,
            "row_levels": "clicked",
            "likes_noise": 1.5,
            "views_noise": 1.5,
            "levels_shown": 1.0,
            "popularity_spread": 1.5,
            "appeal_exponent": 1.0,
            "theme_interest": 1.0,
            "style_interest": 1.0,
            "new_share": 0.0,
        },
        # Content decides: popularity tells clicks from negatives in train and nothing in valid.
        "taste": {},
        # Train and valid are drawn alike, and popularity carries over.
        "popular": {"eval_negatives": "uniform"},
    }

    law: Literal["challenge", "taste", "popular"] = "challenge"
    seed: int = Field(20242025, ge=0)
    user_seed: int | None = Field(None, ge=0, description="Other users and clicks over the same items; None: seed.")
    items: int = Field(1_200, ge=40)
    train_rows: int = Field(40_000, ge=40, multiple_of=4)
    valid_rows: int = Field(5_000, ge=8, multiple_of=4)
    test_rows: int = Field(5_000, ge=8, description="The last user has fewer rows if this is no multiple of 4.")
    silent_users: int = Field(0, ge=0, description="Users of item_seq without any row.")
    covers: bool = True
    cover_size: int = Field(128, ge=32, description="Width and height of a cover in pixels.")
    train_negatives: Negatives = "uniform"
    eval_negatives: Negatives = "popularity"
    negatives_exponent: float = Field(1.0, ge=0, le=3, description="Of popularity, in negatives drawn by it.")
    pool_share: float = Field(
        1 / 3,
        ge=0.3,
        le=1,
        description="Share of the items, whatever their popularity, that law pool draws from evenly.",
    )
    row_levels: Literal["own", "clicked", "popular"] = Field(
        "own",
        description="Whose levels a row without a click carries: its item's; those of the item that its user clicked; "
        "those of an item drawn by popularity.",
    )
    likes_noise: float = Field(0.4, ge=0, description="Standard deviation of what likes add to log popularity.")
    views_noise: float = Field(0.2, ge=0, description="The same of views.")
    levels_shown: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the items whose title shows their views and whose cover shows their likes; the others "
        "show any level. 0: none is shown.",
    )
    new_share: float = Field(0.02, ge=0, lt=0.5, description="Popularity of the items that train never sees.")
    themes: int = Field(8, ge=2, le=20, description="Latent topics shown only in title words and tags.")
    styles: int = Field(6, ge=2, le=12, description="Latent topics shown only in covers.")
    theme_interest: float = Field(2.5, gt=0, le=20, description="Standard deviation of a user's theme logits.")
    style_interest: float = Field(2.5, gt=0, le=20, description="Standard deviation of a user's style logits.")
    persistence: float = Field(0.98, ge=0, le=1, description="Correlation of interests from click to click.")
    popularity_spread: float = Field(0.8, ge=0, le=5, description="Standard deviation of log popularity over items.")
    appeal_exponent: float = Field(
        1.1,
        gt=0,
        le=3,
        description="Appeal is popularity to this power: above 1, as liked popular items are used up first.",
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_the_rest_to_the_law(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return cls.laws.get(values.get("law", "challenge"), {}) | {k: v for k, v in values.items() if v is not None}


class LogTableParams(Params):
    """The log of an interaction log: one interaction per row, or one user's items per row."""

    file: str = Field("interactions.csv", description="A file in log_folder.")
    format: Literal["rows", "sequences"] = Field(
        "rows", description="sequences: a user, a separator, the items in order of time with blanks between."
    )
    separator: str = Field(",", min_length=1, max_length=1)
    columns: tuple[str, ...] | None = Field(None, description="Column names of a file without a header.")
    user: str = "user"
    item: str = "item"
    timestamp: str = Field("timestamp", description="A column of integers, in any unit.")
    rating: str | None = Field(None, description="A column of numbers; read where positive_rating is set.")
    label: str | None = Field(None, description="A column of 0 and 1: rows are impressions, nothing is sampled.")

    @model_validator(mode="after")
    def _sequences_have_two_columns(self) -> LogTableParams:
        if self.format == "sequences" and (self.rating or self.label or self.columns):
            raise ValueError("format 'sequences' has a user and items only: unset rating, label and columns.")
        return self


class ItemTableParams(Params):
    """The item table of an interaction log: what items are called and tagged."""

    file: str = Field("items.csv", description="A file in log_folder.")
    separator: str = Field(",", min_length=1, max_length=1)
    columns: tuple[str, ...] | None = Field(None, description="Column names of a file without a header.")
    item: str = "item"
    title: str = "title"
    tags: str | None = "tags"
    tag_separator: str = Field("|", min_length=1)
    no_tags: tuple[str, ...] = Field((), description="Words that stand for no tag at all.")


class InteractionLogParams(Params):
    """How a log of interactions becomes challenge files (pipeline ``import_log``). See docs/data.md."""

    seed: int = Field(20242025, ge=0)
    log: LogTableParams = LogTableParams()
    items: ItemTableParams = ItemTableParams()
    covers: str | None = Field(
        None,
        description="Folder or archive of covers in log_folder; None: item_images, as a folder or archive.",
    )
    positive_rating: float | None = Field(None, description="Ratings from here on are clicks; None: all are.")
    min_history: int = Field(3, ge=1, description="Clicks a user has before the first that becomes a row.")
    train_negatives: Literal["uniform", "popularity"] = "uniform"
    eval_negatives: Literal["uniform", "popularity"] = "popularity"
    train_negatives_per_click: int = Field(3, ge=1)
    eval_negatives_per_click: int = Field(3, ge=1)
    eval_clicks_per_user: int = Field(1, ge=1, description="A user's last n clicks: test; the n before: valid.")
    train_clicks_per_user: int | None = Field(None, ge=1, description="Newest clicks that become rows; None: all.")
    valid_users: int | None = Field(None, ge=1, description="Users drawn for valid; None: all.")
    test_users: int | None = Field(None, ge=1, description="Users drawn for test; None: all.")

    @model_validator(mode="after")
    def _one_kind_of_label(self) -> InteractionLogParams:
        if self.log.label and self.positive_rating is not None:
            raise ValueError("log.label and positive_rating both say what a click is: unset one of them.")
        if self.positive_rating is not None and not self.log.rating:
            raise ValueError("positive_rating needs a column of ratings: set log.rating to its name.")
        return self


class ProcessingParams(Params):
    """Validation and the contracts made from raw files (pipeline ``data_processing``)."""

    max_history: int = Field(64, ge=1, le=64, description="Newest clicks kept per history.")
    history_levels: bool = Field(
        False,
        description="Research: likes and views of every item, those of histories too, as two more tags. An added "
        "feature, which no submission may use.",
    )


# --- embedding -------------------------------------------------------------------------------------------


class HubModelParams(Params):
    """A pretrained model, from a folder or the hub, and how it runs."""

    model: str = Field(min_length=1, description="A folder, or a hub id such as sentence-transformers/LaBSE.")
    revision: str | None = Field(None, description="Commit of a hub model: without it a repeat may get other weights.")
    trust_remote_code: bool = Field(
        False, description="True: run code that strangers wrote, with your rights; read it first."
    )
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
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


class WeightedParams(Params):
    """Share of the variance that each modality has before PCA (variant ``weighted``)."""

    text: float = Field(0.2, ge=0)
    image: float = Field(0.8, ge=0)

    @model_validator(mode="after")
    def _something_is_left(self) -> WeightedParams:
        if not self.text + self.image > 0:
            raise ValueError("text and image are both 0: at least one modality must count.")
        return self


class TowerParams(RunControls):
    """A content tower and its training; see fusion/tower.py."""

    components: int = Field(256, ge=1, description="Principal components of a modality that the tower sees.")
    hidden: int = Field(512, ge=1, description="Units of the tower's hidden layer.")
    temperature: float = Field(0.07, gt=0)
    popularity_correction: float = Field(1.0, ge=0, le=1, description="1: subtract log frequency of a candidate.")
    modality_dropout: float = Field(0.2, ge=0, le=1, description="How often an item is shown without one modality.")
    dropout: float = Field(0.1, ge=0, lt=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    epochs: int = Field(20, ge=1)
    patience: int = Field(2, ge=1, description="Epochs without a smaller loss on held-out users before stopping.")
    held_out: float = Field(0.05, gt=0, lt=1, description="Share of the users who decide when to stop.")


class BehaviourContrastiveParams(TowerParams):
    """Taught by who clicks what after what; see fusion/behaviour_contrastive.py."""

    window: int = Field(3, ge=1, description="Clicks of one history at most this far apart are a pair.")
    batch_size: int = Field(1024, ge=2, description="Pairs of a step; each is the others' negative.")
    pairs_per_epoch: int = Field(100_000, ge=2)


class SequenceParams(TowerParams):
    """Taught by what comes next in whole histories; see fusion/sequence.py."""

    state: int = Field(128, ge=1, description="Units of the recurrent layer that reads a history.")
    recent: int = Field(20, ge=2, description="Newest clicks of a history that are read.")
    batch_size: int = Field(256, ge=1, description="Histories of a step; the items of each are the others' negatives.")
    histories_per_epoch: int = Field(50_000, ge=1)


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

    variant: Variant = "concat_pca"
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


class FinetuneParams(RunControls):
    """An encoder of ``embedding`` tuned by clicks (pipeline ``finetune``); see encoders/lora.py."""

    modality: Literal["text", "image"] = Field("text", description="Whose encoder: embedding.text or embedding.image.")
    seed: int = Field(20242025, ge=0, lt=2**32)
    rank: int = Field(8, ge=1, description="Width of an adapter.")
    alpha: int = Field(16, ge=1, description="What an adapter learns counts alpha / rank.")
    dropout: float = Field(0.05, ge=0, lt=1, description="Of what an adapter sees.")
    target_modules: tuple[str, ...] | None = Field(
        None, min_length=1, description="Layers that get an adapter, by the end of their names; None: all linear ones."
    )
    learning_rate: float = Field(5e-4, gt=0, description="Rises over the first tenth of the steps, then falls to 0.")
    temperature: float = Field(0.05, gt=0)
    batch_size: int = Field(64, ge=2, description="Pairs of a step; each is the others' negative.")
    pairs_per_epoch: int = Field(10_000, ge=2)
    epochs: int = Field(3, ge=1)
    patience: int = Field(1, ge=1, description="Epochs without a smaller loss on held-out users before stopping.")
    window: int = Field(3, ge=1, description="Clicks of one history at most this far apart are a pair.")
    held_out: float = Field(
        0.05, gt=0, lt=1, description="Share of the users who decide when to stop; with seed, who they are."
    )


# --- ctr -------------------------------------------------------------------------------------------------


class TrainingControls(RunControls):
    """How a training runs, apart from what it trains. Official values: fp32, 100 epochs, patience 3."""

    epochs: int = Field(100, ge=1)
    patience: int = Field(3, ge=1, description="Evaluations without a better valid AUC before stopping.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="Of the arithmetic between the weights, which stay in fp32 (autocast)."
    )
    checkpoint_minutes: float = Field(
        2.0, ge=0, description="A killed run loses at most this much, or an epoch if that is shorter."
    )


class ModelSettings(Params):
    """What the settings of every CTR model have."""

    own_training: ClassVar[dict[str, Any]] = {}  # of CtrParams, in place of its defaults

    def to_compare(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """By the name of a piece, what to change in these settings to have it and to lack it; training/comparing.py."""
        return {}

    def without_leak(self) -> Self | None:
        """The settings of the same trained model with what reads the levels' leak off; None: it cannot be told
        apart."""
        return None


class DinParams(ModelSettings):
    """The organisers' DIN; see models/din.py."""

    name: Literal["din"] = "din"
    net_dropout: float = Field(0.1, ge=0, lt=1)


class TransformerDcnParams(ModelSettings):
    """The challenge's 1st place, arXiv:2505.03543; see models/transformer_dcn.py."""

    own_training: ClassVar[dict[str, Any]] = {
        "learning_rate": 5e-4,
        "batch_size": 128,
        "embedding_regularizer": 0.0,
        "patience": 5,
    }

    name: Literal["transformer_dcn"] = "transformer_dcn"
    width: int = Field(64, ge=1, description="Numbers of an item id and of its tags.")
    layers: int = Field(2, ge=1)
    heads: int = Field(1, ge=1, description="Must divide the token: twice an item's vector.")
    feed_forward: int = Field(256, ge=1)
    encoder_dropout: float = Field(0.2, ge=0, lt=1)
    last: int = Field(16, ge=1, description="Newest encoded clicks handed to the head one by one.")
    cross_layers: int = Field(3, ge=1)
    dnn_units: tuple[int, ...] = Field((1024, 512, 256), min_length=1)
    head_units: tuple[int, ...] = (64, 32)
    net_dropout: float = Field(0.2, ge=0, lt=1)
    published_mask: bool = Field(
        False, description="True: attend to the padding and ignore the clicks, as the published code does."
    )


class QinParams(ModelSettings):
    """The challenge's 2nd place, arXiv:2504.17699; see models/qin.py."""

    own_training: ClassVar[dict[str, Any]] = {
        "learning_rate": 2e-3,
        "rate_decay": 0.5,
        "batch_size": 8192,
        "embedding_regularizer": 2e-4,
        "patience": 8,
    }

    name: Literal["qin"] = "qin"
    width: int = Field(128, ge=1, description="Numbers of an item id, of its tags and of a level.")
    layers: int = Field(4, ge=1)
    rows: int = Field(4, ge=1, description="Products summed in a quadratic layer.")
    net_dropout: float = Field(0.1, ge=0, lt=1)


class EvidenceParams(ModelSettings):
    """Our own model, a sum of pieces of evidence; see models/evidence.py."""

    own_training: ClassVar[dict[str, Any]] = {
        "learning_rate": 3e-3,
        "batch_size": 1024,
        "embedding_regularizer": 1e-5,
        "rate_decay": 0.3,
        "rate_patience": 1,
        "patience": 3,
        "threads": 1,  # two are no faster
    }

    name: Literal["evidence"] = "evidence"
    taste: bool = Field(True, description="Content that the user's clicks and the item have in common.")
    levels: bool = Field(True, description="Whether the row's levels are its item's own: a leak, where they are not.")
    record: Literal["off", "absorbed", "counted"] = Field(
        "absorbed",
        description="How often the item is clicked. absorbed: learnt, so that taste is not, and not counted.",
    )
    popularity: bool = Field(False, description="How often items of the item's own levels are clicked.")
    co_clicks: bool = Field(False, description="Which items are clicked together, by their ids.")
    compare: bool = Field(
        True, description="Train with and without each piece but taste, and keep what the valid rows gain by."
    )
    heads: int = Field(8, ge=1, description="Independent codings of an item, in taste.")
    codes: int = Field(16, ge=2, description="Codes of a head.")
    width: int = Field(256, ge=1, description="Hidden units between content and codes.")
    tag_width: int = Field(16, ge=1)
    co_click_width: int = Field(16, ge=1)
    head_units: tuple[int, ...] = (128, 64)
    net_dropout: float = Field(0.3, ge=0, lt=1)

    @property
    def counted(self) -> list[str]:
        """The pieces whose sum is the logit."""
        on = {name: getattr(self, name) for name in ("taste", "levels", "popularity", "co_clicks")}
        return [name for name, counts in {**on, "record": self.record == "counted"}.items() if counts]

    def to_compare(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        if not self.compare:
            return {}
        pieces: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        if self.levels and self.taste:
            pieces["levels"] = ({}, {"levels": False})
        if self.record == "absorbed":
            pieces["absorbed record"] = ({}, {"record": "off"})
        if self.record != "counted":
            pieces["record"] = ({"record": "counted"}, {})
        if not self.popularity:
            pieces["popularity"] = ({"popularity": True}, {})
        if not self.co_clicks:
            pieces["co-clicks"] = ({"co_clicks": True}, {})
        return pieces

    def without_leak(self) -> Self:
        return self.model_copy(update={"levels": False})

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if not self.counted:
            raise ValueError("no piece counts: set taste, levels, popularity or co_clicks, or record: counted.")
        return self


ModelParams = DinParams | TransformerDcnParams | QinParams | EvidenceParams
MODEL_PARAMS: dict[str, type[ModelParams]] = {
    settings.model_fields["name"].default: settings for settings in get_args(ModelParams)
}


class CtrParams(TrainingControls):
    """A CTR model and its training (blocks ``ctr``, ``task2.ctr``, ``task1_and_2.ctr``).

    A training value left out, or null, is the model's own (``own_training``): the paper's where there is one.
    """

    model: ModelParams = Field(DinParams(), discriminator="name")
    patience: int = Field(6, ge=1, description="Evaluations without a better valid AUC before stopping.")
    learning_rate: float = Field(1e-3, gt=0)
    batch_size: int = Field(8192, ge=2, description="Batch norm needs two rows.")
    embedding_regularizer: float = Field(1e-6, ge=0, description="L2 on the model's embedding parameters.")
    net_regularizer: float = Field(0.0, ge=0, description="L2 on all others.")
    embedding_update: Literal["dense", "lazy"] = Field(
        "dense", description="lazy: L2 and Adam move only the id rows of the batch; faster, another model."
    )
    embedding_learning_rate: float | None = Field(None, gt=0, description="None: learning_rate.")
    optimizer: Literal["adam", "adamw"] = "adam"
    weight_decay: float = Field(0.0, ge=0, description="Of adamw, on all but embedding parameters.")
    max_gradient_norm: float = Field(10.0, gt=0)
    schedule: Literal["plateau", "constant", "cosine"] = Field(
        "plateau", description="plateau: times rate_decay after an evaluation without gain; cosine: over all epochs."
    )
    rate_decay: float = Field(0.5, gt=0, lt=1)
    rate_patience: int = Field(2, ge=1, description="Evaluations in a row without gain before the rate falls.")
    warmup_steps: int = Field(0, ge=0, description="The rate climbs to its value over the first steps.")
    pairwise_weight: float = Field(
        0.0, ge=0, le=1, description="Share of the loss over all click-other pairs of a batch's part; the rest is BCE."
    )
    accumulate: int = Field(1, ge=1, description="Parts in which a batch is computed, to save memory.")
    evaluate_every: int | None = Field(None, ge=1, description="Steps between evaluations; None: once an epoch.")
    max_history: int = Field(64, ge=1, description="Newest clicks of a history that the model sees.")
    compile: bool = Field(False, description="torch.compile; see benchmarks/RESULTS.md for where it pays.")

    @model_validator(mode="before")
    @classmethod
    def _leave_the_rest_to_the_model(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        model = values.get("model", {})
        name = model.get("name", "din") if isinstance(model, dict) else getattr(model, "name", None)
        own = MODEL_PARAMS[name].own_training if name in MODEL_PARAMS else {}
        return own | {key: value for key, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _settings_agree(self) -> CtrParams:
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(f"weight_decay={self.weight_decay} needs optimizer: adamw (Adam has net_regularizer).")
        if self.batch_size // self.accumulate < 2:
            raise ValueError(f"accumulate={self.accumulate} leaves parts of fewer than two rows of {self.batch_size}.")
        if self.compile and self.embedding_update == "lazy":
            raise ValueError("compile=True needs embedding_update: dense (torch compiles no sparse gradients).")
        return self


class FixedCtrParams(TrainingControls):
    """Task 1's fixed DIN: five tunable values and the run controls, nothing else (block ``task1.ctr``)."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_misspelt(cls, values: Any) -> Any:
        if isinstance(values, dict) and (unknown := [key for key in values if key not in cls.model_fields]):
            tunable = [name for name in cls.model_fields if name not in TrainingControls.model_fields]
            raise ValueError(
                f"Task 1 is judged by the fixed DIN: only {', '.join(tunable)} may be tuned. "
                + " ".join(f"{key}={values[key]!r}: {suggest(str(key), list(cls.model_fields))}" for key in unknown)
            )
        return values

    embedding_regularizer: float = Field(1e-6, ge=0)
    net_regularizer: float = Field(0.0, ge=0)
    net_dropout: float = Field(0.1, ge=0, lt=1)
    learning_rate: float = Field(1e-3, gt=0)
    batch_size: int = Field(8192, ge=2, description="Batch norm needs two rows.")

    def as_ctr(self) -> CtrParams:
        """The same training in the general form: the fixed DIN with these values."""
        values = self.model_dump()
        organisers = {"rate_decay": 0.1, "rate_patience": 1}
        return CtrParams(model=DinParams(net_dropout=values.pop("net_dropout")), **organisers, **values)


# --- verify ------------------------------------------------------------------------------------------


class VerifyParams(Params):
    """A bundle put to the test (pipeline ``verify``)."""

    bundle: str = Field("", description="The bundle.zip to verify; empty: the combined one of the data root.")
    mode: Literal["quick", "full"] = Field(
        "quick",
        description="quick: the bundle's weights predict again. full: data, embedding and model are made from scratch.",
    )
    prediction_tolerance: float = Field(
        1e-4, ge=0, description="Of a pCTR on another machine or other libraries; on the same ones it must be equal."
    )
    auc_tolerance: float = Field(0.005, ge=0, description="Of the retrained valid AUC, likewise.")


# --- check_submission ------------------------------------------------------------------------------------


class CheckSubmissionParams(Params):
    """A submission looked at from outside (pipeline ``check_submission``)."""

    file: str | None = Field(None, description="A prediction.csv or a zip; None: the combined submission below root.")
    test: str | None = Field(None, description="The test.parquet it answers; None: that of challenge_folder.")
    few_scores: int = Field(100, ge=2, description="Fewer distinct scores than this in a column earn a warning.")


# --- every block of conf/ --------------------------------------------------------------------------------

SETTINGS: dict[str, type[Params]] = {
    "source": SourceParams,
    "simulate": WorldParams,
    "import_log": InteractionLogParams,
    "processing": ProcessingParams,
    "embedding": EmbeddingParams,
    "finetune": FinetuneParams,
    "ctr": CtrParams,
    "task1.ctr": FixedCtrParams,
    "task2.ctr": CtrParams,
    "task1_and_2.ctr": CtrParams,
    "verify": VerifyParams,
    "check_submission": CheckSubmissionParams,
}


class VariantChoice(Params):
    """Which variant of a stage is built and used."""

    variant: str


class OneLineChoices(Params):
    """globals.yml: choices that catalog paths and parameters share; ``--params`` sets them too."""

    root: str
    log_folder: str
    challenge_folder: str = ""  # left out: below root; an empty line (null) is refused
    embedding: VariantChoice


def check_settings(parameters: dict[str, Any], one_line_choices: dict[str, Any], given: dict[str, Any]) -> None:
    """Check every setting of the project, whether the coming run uses it or not.

    Args:
        parameters: The merged tree of conf/ and ``--params``.
        one_line_choices: The tree of globals.yml, whose keys ``--params`` may also set.
        given: What came by ``--params``.

    Raises:
        MmctrError: With every problem found: its key, the value seen, what was expected.
    """
    tree, choices = _tree(SETTINGS), list(OneLineChoices.model_fields)
    ours = {key: value for key, value in parameters.items() if key in tree or key not in choices or key not in given}
    # `embedding` is a block too, and checked there.
    chosen = {key: value for key, value in given.items() if key in choices and key not in tree}
    problems = [
        *_problems_of("globals", OneLineChoices, one_line_choices),
        *_problems_of("--params", OneLineChoices, one_line_choices | chosen, only=set(chosen)),
        *_unknown_blocks(ours, tree, extra=choices),
        *_shadowed(given, parameters),
    ]
    for name, settings in SETTINGS.items():
        if (block := find(ours, name)) is not ABSENT:
            problems += _problems_of(name, settings, block)
    if problems:
        raise MmctrError(
            "\n".join([f"{len(problems)} wrong setting(s) in conf/ or --params:", *(f"  - {p}" for p in problems)])
        )


def _tree(names: Iterable[str]) -> dict[str, Any]:
    """``["a", "b.c"]`` as ``{"a": None, "b": {"c": None}}``: blocks end in None."""
    tree: dict[str, Any] = {}
    for name in names:
        *parents, leaf = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = None
    return tree


def _unknown_blocks(values: Any, tree: dict[str, Any], at: str = "", extra: Sequence[str] = ()) -> Iterator[str]:
    if not isinstance(values, dict):
        yield f"{at}: expected a block with {', '.join(tree)}, got {values!r}"
        return
    for key, value in values.items():
        if key not in tree:
            yield (f"{at}: " if at else "") + suggest(str(key), [*tree, *extra])
        elif tree[key] is not None:
            yield from _unknown_blocks(value, tree[key], f"{at}.{key}".lstrip("."))


ABSENT = object()  # not None, which is what a block without any line is


def find(values: Any, name: str) -> Any:
    """The block of this dotted name in a tree; ``ABSENT`` where there is none."""
    for key in name.split("."):
        values = values.get(key, ABSENT) if isinstance(values, dict) else ABSENT
    return values


def _problems_of(name: str, settings: type[Params], block: Any, only: set[str] | None = None) -> Iterator[str]:
    """What is wrong with a block; with ``only``, in these keys of it."""
    try:
        settings.model_validate(block)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            if only is not None and not only.intersection(problem["loc"][:1]):
                continue
            # pydantic names a model's settings by its tag too (model.qin.layers); ours are model.layers.
            place = ".".join([name, *(str(part) for part in problem["loc"] if part not in MODEL_PARAMS)])
            message = problem["msg"].removeprefix("Value error, ")
            if problem["type"] == "union_tag_invalid":
                message = suggest(problem["ctx"]["tag"], list(MODEL_PARAMS)).replace("setting", "model")
            seen = "" if problem["type"] == "value_error" else f", got {problem['input']!r}"
            hint = " (a block without any line is written {})" if problem["input"] is None and block is None else ""
            yield f"{place}: {message}{seen}{hint}"


def _shadowed(given: dict[str, Any], parameters: dict[str, Any]) -> Iterator[str]:
    """A ``ctr`` setting given beside one of ``task2.ctr`` would be lost there: omegaconf expands the default first."""
    for task in ("task2", "task1_and_2"):
        own = dict(leaves(own)) if (own := find(given, f"{task}.ctr")) is not ABSENT else {}
        for key, value in leaves(given.get("ctr", {})):
            if own and key not in own and find(parameters, f"{task}.ctr.{key}") != value:
                yield f"ctr.{key}={value!r} does not reach {task}.ctr, also set by --params: give {task}.ctr.{key} too"


def leaves(values: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """``{"a": {"b": 1}}`` as ``("a.b", 1)``, which is how ``--params`` takes it."""
    if not isinstance(values, dict):
        yield at, values
        return
    for key, value in values.items():
        yield from leaves(value, f"{at}.{key}".lstrip("."))
