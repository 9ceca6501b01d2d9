"""What is searched where a user says nothing, and from where: a space and starting values for every model.

Task 1's are the five values that its rules leave free. Weights of L2 are listed, as 0 is one of them.
"""

from __future__ import annotations

from typing import Any, TypeVar

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import Params, find
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams, ModelSettings
from mmctr_kedro.tuning.settings import Range, Space

Values = dict[str, Any]  # settings by their dotted names
Settings = TypeVar("Settings", bound=Params)

_RATE = Range(low=1e-4, high=2e-2, log=True)
_DROPOUT = Range(low=0.0, high=0.6)
_TABLE_L2: list[Any] = [0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3]
_NET_L2: list[Any] = [0.0, 1e-5, 1e-4, 1e-3, 0.01, 0.03]
_BATCH: list[Any] = [256, 512, 1024, 2048, 4096, 8192, 16384]
_EVERY: Space = {"learning_rate": _RATE, "batch_size": _BATCH, "embedding_regularizer": _TABLE_L2}

FIXED: Space = {**_EVERY, "net_regularizer": _NET_L2, "net_dropout": _DROPOUT}
SPACES: dict[str, Space] = {
    "din": {**_EVERY, "net_regularizer": _NET_L2, "model.net_dropout": _DROPOUT, "rate_decay": [0.1, 0.3, 0.5]},
    "transformer_dcn": {
        **_EVERY,
        "model.layers": [1, 2, 3],
        "model.last": [4, 8, 16],
        "model.encoder_dropout": _DROPOUT,
        "model.net_dropout": _DROPOUT,
    },
    "qin": {**_EVERY, "model.width": [64, 128, 256], "model.layers": [2, 3, 4], "model.net_dropout": _DROPOUT},
    "evidence": {
        **_EVERY,
        "model.record": ["off", "absorbed", "counted"],
        "model.popularity": [False, True],
        "model.co_clicks": [False, True],
        "model.heads": [4, 8, 16],
        "model.width": [128, 256, 512],
        "model.net_dropout": _DROPOUT,
    },
}

# The fixed model's best values: parameters_ctr.yml of conf/base, of the default world, and of conf/microlens, published
# for the real data (valid AUC 0.9550). Other models' published values are their own_training.
FIXED_STARTS: dict[str, Values] = {
    "conf/base": {
        "batch_size": 512,
        "learning_rate": 0.002,
        "embedding_regularizer": 1e-4,
        "net_regularizer": 0.01,
        "net_dropout": 0.1,
    },
    "conf/microlens": {
        "batch_size": 16384,
        "learning_rate": 0.001,
        "embedding_regularizer": 1e-7,
        "net_regularizer": 0.01,
        "net_dropout": 0.5,
    },
}
EVIDENCE_STARTS: dict[str, Values] = {"conf/microlens": {"batch_size": 16384, "learning_rate": 0.008}}


def with_values(params: Settings, values: Values) -> Settings:
    """The settings with these values, checked."""
    tree = params.model_dump()
    for name, value in values.items():
        *parents, leaf = name.split(".")
        (find(tree, ".".join(parents)) if parents else tree)[leaf] = value
    return type(params).model_validate(tree)


def the_space(params: CtrParams | FixedCtrParams, given: Space) -> Space:
    """What is searched: ``given``, or what is ready for the model.

    Raises:
        MmctrError: Where a value is none that the setting may have.
    """
    ready = FIXED if isinstance(params, FixedCtrParams) else SPACES.get(params.model.name) or _of_any(params.model)
    for name, choices in given.items():
        for value in (choices.low, choices.high) if isinstance(choices, Range) else choices:
            try:
                with_values(params, {name: value})
            except (ValueError, TypeError) as error:
                why = str(error).splitlines()[-2 if "\n" in str(error) else 0].strip()
                raise MmctrError(
                    f"tune.space.{name}: {value!r} is no value of it: {why} Ready: {', '.join(ready)}"
                ) from None
    return given or ready


def _of_any(model: ModelSettings) -> Space:
    """For a model that has no space of its own: what every training has, and the model's dropouts."""
    dropouts = [name for name in type(model).model_fields if name.endswith("dropout")]
    return {**_EVERY, **{f"model.{name}": _DROPOUT for name in dropouts}}


def the_starts(params: CtrParams | FixedCtrParams, space: Space) -> dict[str, Values]:
    """The values that the search starts from, by where they are from: the run's, its authors', the published.

    What a range cannot hold, null and 0 by order of magnitude, is left for the search to draw.
    """
    if isinstance(params, FixedCtrParams):
        authors: CtrParams | FixedCtrParams = FixedCtrParams()
        published = FIXED_STARTS
    else:
        authors = CtrParams.model_validate({"model": {"name": params.model.name}})
        published = EVIDENCE_STARTS if params.model.name == "evidence" else {}
    ours, theirs = ({name: find(of.model_dump(), name) for name in space} for of in (params, authors))
    starts = {"this run's": ours, "the authors'": theirs, **{where: ours | of for where, of in published.items()}}
    return {where: {name: of[name] for name in space if _fits(of[name], space[name])} for where, of in starts.items()}


def _fits(value: Any, choices: Range | list[Any]) -> bool:
    return value is not None and not (isinstance(choices, Range) and choices.log and value <= 0)


def widened(space: Space, starts: dict[str, Values]) -> Space:
    """The space with the starting values in it."""
    wide: Space = {}
    for name, choices in space.items():
        values = list(dict.fromkeys(of[name] for of in starts.values() if name in of))
        if isinstance(choices, Range):
            ends = [choices.low, choices.high, *values]
            wide[name] = Range(low=min(ends), high=max(ends), log=choices.log)
        else:
            wide[name] = choices + [value for value in values if value not in choices]
    return wide
