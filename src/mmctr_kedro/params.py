"""Every setting of the project, typed and validated. One class per ``params:`` block of conf/.

Kedro builds these from YAML before the first node runs; an unknown or misspelt key is an error with a
suggestion. Defaults live here, so that YAML holds only what an environment chooses.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mmctr_kedro.errors import MmctrError


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


# --- data_processing -------------------------------------------------------------------------------------


class SourceParams(Params):
    """Where the challenge's raw files come from."""

    name: Literal["simulated", "interaction_log", "challenge_files"] = "simulated"


class WorldParams(Params):
    """The simulated world (pipeline ``simulate``). Rows come in fours: one click, three not."""

    seed: int = 20242025
    items: int = Field(1_200, ge=20)
    train_rows: int = Field(40_000, ge=40, multiple_of=4)
    valid_rows: int = Field(5_000, ge=8, multiple_of=4)
    test_rows: int = Field(5_000, ge=8, multiple_of=4)
    covers: bool = True
    train_negatives: Literal["uniform", "popularity"] = "uniform"
    eval_negatives: Literal["uniform", "popularity"] = "popularity"


class InteractionLogParams(Params):
    """How a log of interactions becomes challenge files (pipeline ``import_log``)."""

    seed: int = 20242025


class ProcessingParams(Params):
    """Validation and the contracts made from raw files (pipeline ``data_processing``)."""

    max_history: int = Field(64, ge=1, description="Newest clicks kept per history.")
    max_tags: int = Field(5, ge=1, description="Tags kept per item.")


# --- embedding -------------------------------------------------------------------------------------------


class EmbeddingParams(Params):
    """Item vectors from titles and covers (pipeline ``embedding``)."""

    variant: Literal["concat_pca"] = "concat_pca"
    width: int = Field(128, ge=1)
    seed: int = 20242025


# --- ctr -------------------------------------------------------------------------------------------------


class RunControls(Params):
    """How a training runs, apart from what it trains. Official values: fp32, 100 epochs, patience 3."""

    seed: int = 20242025
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(None, ge=1, description="CPU threads; None leaves torch's choice.")
    epochs: int = Field(100, ge=1)
    patience: int = Field(3, ge=1, description="Epochs without a better valid AUC before stopping.")
    precision: Literal["fp32"] = "fp32"


class DinParams(Params):
    """The organisers' DIN; see models/din.py."""

    name: Literal["din"] = "din"
    net_dropout: float = Field(0.1, ge=0, lt=1)


class CtrParams(RunControls):
    """A CTR model and its training (blocks ``ctr``, ``task2.ctr``, ``task1_and_2.ctr``)."""

    model: DinParams = DinParams()
    learning_rate: float = Field(1e-3, gt=0)
    batch_size: int = Field(8192, ge=1)
    embedding_regularizer: float = Field(1e-6, ge=0)
    net_regularizer: float = Field(0.0, ge=0)


class FixedCtrParams(RunControls):
    """Task 1's fixed DIN: five tunable values and the run controls, nothing else (block ``task1.ctr``)."""

    embedding_regularizer: float = Field(1e-6, ge=0)
    net_regularizer: float = Field(0.0, ge=0)
    net_dropout: float = Field(0.1, ge=0, lt=1)
    learning_rate: float = Field(1e-3, gt=0)
    batch_size: int = Field(8192, ge=1)

    def as_ctr(self) -> CtrParams:
        """The same training in the general form: the fixed DIN with these values."""
        values = self.model_dump()
        return CtrParams(model=DinParams(net_dropout=values.pop("net_dropout")), **values)


# --- every block of conf/ --------------------------------------------------------------------------------

SETTINGS: dict[str, type[Params]] = {
    "source": SourceParams,
    "simulate": WorldParams,
    "import_log": InteractionLogParams,
    "processing": ProcessingParams,
    "embedding": EmbeddingParams,
    "ctr": CtrParams,
    "task1.ctr": FixedCtrParams,
    "task2.ctr": CtrParams,
    "task1_and_2.ctr": CtrParams,
}


def check_settings(
    parameters: dict[str, Any], one_line_choices: dict[str, Any], given: dict[str, Any]
) -> None:
    """Check every setting of the project, whether the coming run uses it or not.

    Args:
        parameters: The merged tree of conf/ and ``--params``.
        one_line_choices: The tree of globals.yml, whose keys ``--params`` may also set.
        given: What came by ``--params``.

    Raises:
        MmctrError: With every problem found: its key, the value seen, what was expected.
    """
    choices = [key for key in one_line_choices if key in given and key not in _tree(SETTINGS)]
    parameters = {key: value for key, value in parameters.items() if key not in choices}
    problems = list(_unknown_blocks(parameters, _tree(SETTINGS), extra=tuple(one_line_choices)))
    for name, settings in SETTINGS.items():
        if (block := _find(parameters, name)) is not None:
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


def _unknown_blocks(
    values: Any, tree: dict[str, Any], at: str = "", extra: tuple[str, ...] = ()
) -> Iterator[str]:
    if not isinstance(values, dict):
        yield f"{at}: expected a block with {', '.join(tree)}, got {values!r}"
        return
    for key, value in values.items():
        if key not in tree:
            yield (f"{at}: " if at else "") + suggest(str(key), [*tree, *extra])
        elif tree[key] is not None:
            yield from _unknown_blocks(value, tree[key], f"{at}.{key}".lstrip("."))


def _find(values: Any, name: str) -> Any:
    for key in name.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _problems_of(name: str, settings: type[Params], block: Any) -> Iterator[str]:
    try:
        settings.model_validate(block)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            place = ".".join([name, *(str(part) for part in problem["loc"])])
            message = problem["msg"].removeprefix("Value error, ")
            seen = "" if problem["type"] == "value_error" else f", got {problem['input']!r}"
            yield f"{place}: {message}{seen}"
