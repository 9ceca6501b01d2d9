"""Settings of the CTR models and of their training; without torch, so that reading settings is quick."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from mmctr_kedro.common.params import Params, RunControls, suggest


class TrainingControls(RunControls):
    """How a training runs, apart from what it trains. Official values: fp32, 100 epochs, patience 3."""

    epochs: int = Field(100, ge=1, description="At most.")
    patience: int = Field(3, ge=1, description="Evaluations without a better valid AUC before stopping.")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="Of the arithmetic between the weights, which stay in fp32 (autocast)."
    )
    processes: int = Field(
        1, ge=1, description="That share each batch, with `threads` each: other rounding and another dropout, no more."
    )
    launcher: Literal["torchrun", "ray"] = Field(
        "torchrun",
        exclude=True,  # it decides nothing about what is trained
        description="Of several processes: PyTorch's on this machine, or Ray Train (extra ray) on those of a cluster.",
    )
    checkpoint_minutes: float = Field(
        2.0, ge=0, description="A killed run loses at most this much, or an epoch if that is shorter."
    )

    def what_is_trained(self) -> dict[str, Any]:
        """All of them but where and by how many it is done: of the same, one training may go on with another's work."""
        return self.model_dump(mode="json", exclude={"checkpoint_minutes", "device", "threads", "processes"})


class ModelSettings(Params):
    """What the settings of every CTR model have.

    Those of class ``Name`` in models/name.py are ``NameParams``, and their field ``name`` is the file's name: all that
    registers a model is its place in ``ModelParams``.
    """

    own_training: ClassVar[dict[str, Any]] = {}  # of CtrParams, in place of its defaults
    about: ClassVar[str]  # what it is, and its source, in one line

    def to_compare(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """By the name of a piece, what to change in these settings to have it and to lack it; training/comparing.py."""
        return {}

    def without_leak(self) -> Self | None:
        """The settings of the same trained model with what reads the levels' leak off; None: it cannot be told
        apart."""
        return None


class DinParams(ModelSettings):
    """The organisers' DIN; see models/din.py."""

    about: ClassVar[str] = "the challenge's fixed model, a Deep Interest Network (Zhou et al., arXiv:1706.06978)"

    name: Literal["din"] = "din"
    net_dropout: float = Field(0.1, ge=0, lt=1, description="Of the network after attention.")


class TransformerDcnParams(ModelSettings):
    """The challenge's 1st place, arXiv:2505.03543; see models/transformer_dcn.py."""

    own_training: ClassVar[dict[str, Any]] = {
        "learning_rate": 5e-4,
        "batch_size": 128,
        "embedding_regularizer": 0.0,
        "patience": 5,
    }

    about: ClassVar[str] = "the challenge's 1st place: a Transformer over the clicks, then DCNv2 (arXiv:2505.03543)"

    name: Literal["transformer_dcn"] = "transformer_dcn"
    width: int = Field(64, ge=1, description="Numbers of an item id and of its tags.")
    layers: int = Field(2, ge=1, description="Of the Transformer.")
    heads: int = Field(1, ge=1, description="Must divide the token: twice an item's vector.")
    feed_forward: int = Field(256, ge=1, description="Units of the Transformer's feed-forward layers.")
    encoder_dropout: float = Field(0.2, ge=0, lt=1, description="Of the Transformer.")
    last: int = Field(16, ge=1, description="Newest encoded clicks handed to the head one by one.")
    cross_layers: int = Field(3, ge=1, description="Of DCNv2.")
    dnn_units: tuple[int, ...] = Field(
        (1024, 512, 256), min_length=1, description="Of the deep network beside the cross layers."
    )
    head_units: tuple[int, ...] = Field((64, 32), description="Of the last layers, over both.")
    net_dropout: float = Field(0.2, ge=0, lt=1, description="Of the deep network.")
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

    about: ClassVar[str] = "the challenge's 2nd place: target attention, quadratic layers (arXiv:2504.17699)"

    name: Literal["qin"] = "qin"
    width: int = Field(128, ge=1, description="Numbers of an item id, of its tags and of a level.")
    layers: int = Field(4, ge=1, description="Quadratic layers.")
    rows: int = Field(4, ge=1, description="Products summed in a quadratic layer.")
    net_dropout: float = Field(0.1, ge=0, lt=1, description="Of the quadratic network.")


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

    about: ClassVar[str] = "our own: a sum of pieces of evidence, each of which had to earn its place (docs/ctr.md)"

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
    tag_width: int = Field(16, ge=1, description="Numbers of a tag.")
    co_click_width: int = Field(16, ge=1, description="Numbers of an item id, in co-clicks.")
    head_units: tuple[int, ...] = Field((128, 64), description="Of the network over the heads' matches.")
    net_dropout: float = Field(0.3, ge=0, lt=1, description="Of that network, and of the one from content to codes.")

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

    model: ModelParams = Field(
        DinParams(), discriminator="name", description="Which model, by its name, with its own settings."
    )
    patience: int = Field(6, ge=1, description="Evaluations without a better valid AUC before stopping.")
    learning_rate: float = Field(1e-3, gt=0, description="Of Adam.")
    batch_size: int = Field(8192, ge=2, description="Batch norm needs two rows.")
    embedding_regularizer: float = Field(1e-6, ge=0, description="L2 on the model's embedding parameters.")
    net_regularizer: float = Field(0.0, ge=0, description="L2 on all others.")
    embedding_update: Literal["dense", "lazy"] = Field(
        "dense", description="lazy: L2 and Adam move only the id rows of the batch; faster, another model."
    )
    embedding_learning_rate: float | None = Field(None, gt=0, description="None: learning_rate.")
    optimizer: Literal["adam", "adamw"] = Field("adam", description="Of all parameters.")
    weight_decay: float = Field(0.0, ge=0, description="Of adamw, on all but embedding parameters.")
    max_gradient_norm: float = Field(10.0, gt=0, description="A longer gradient is cut to this norm.")
    schedule: Literal["plateau", "constant", "cosine"] = Field(
        "plateau", description="plateau: times rate_decay after an evaluation without gain; cosine: over all epochs."
    )
    rate_decay: float = Field(0.5, gt=0, lt=1, description="What the rate is multiplied by when it falls.")
    rate_patience: int = Field(2, ge=1, description="Evaluations in a row without gain before the rate falls.")
    warmup_steps: int = Field(0, ge=0, description="The rate climbs to its value over the first steps.")
    pairwise_weight: float = Field(
        0.0, ge=0, le=1, description="Share of the loss over all click-other pairs of a batch's part; the rest is BCE."
    )
    accumulate: int = Field(1, ge=1, description="Parts in which a batch is computed, to save memory.")
    evaluate_every: int | None = Field(None, ge=1, description="Steps between evaluations; None: once an epoch.")
    max_history: int = Field(64, ge=1, description="Newest clicks of a history that the model sees.")
    compile: bool = Field(False, description="torch.compile; see docs/speed.md for where it pays.")

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

    embedding_regularizer: float = Field(1e-6, ge=0, description="L2 on the embedding tables.")
    net_regularizer: float = Field(0.0, ge=0, description="L2 on all other weights.")
    net_dropout: float = Field(0.1, ge=0, lt=1, description="Of the network after attention.")
    learning_rate: float = Field(1e-3, gt=0, description="Of Adam.")
    batch_size: int = Field(8192, ge=2, description="Batch norm needs two rows.")

    def as_ctr(self) -> CtrParams:
        """The same training in the general form: the fixed DIN with these values."""
        values = self.model_dump()
        organisers = {"rate_decay": 0.1, "rate_patience": 1}
        model = DinParams(net_dropout=values.pop("net_dropout"))
        return CtrParams(model=model, launcher=self.launcher, **organisers, **values)
