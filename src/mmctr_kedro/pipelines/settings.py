"""Every block of conf/ with its class, and the check of all of them before any work."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pydantic import Field, ValidationError

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import Params, find, leaves, nested, suggest
from mmctr_kedro.data.settings import InteractionLogParams, ProcessingParams, SourceParams
from mmctr_kedro.encoders.settings import FinetuneParams
from mmctr_kedro.export.settings import ExportParams
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.models.settings import MODEL_PARAMS, CtrParams, FixedCtrParams
from mmctr_kedro.scoring.settings import ScoreParams
from mmctr_kedro.serving.settings import ServeParams
from mmctr_kedro.submission.settings import CheckSubmissionParams, VerifyParams
from mmctr_kedro.tuning.settings import TuneParams
from mmctr_kedro.worlds.settings import WorldParams

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
    "score": ScoreParams,
    "export": ExportParams,
    "tune": TuneParams,
    "serve": ServeParams,
    "verify": VerifyParams,
    "check_submission": CheckSubmissionParams,
}


class VariantChoice(Params):
    """Which variant of a stage is built and used."""

    variant: str = Field(description="As embedding.variant; catalog paths read it.")


class OneLineChoices(Params):
    """Choices that catalog paths and parameters share; ``--params`` sets them too."""

    root: str = Field(description="Everything a run reads and writes lies below it.")
    log_folder: str = Field(description="Where the interaction log lies that import_log reads.")
    challenge_folder: str = Field("", description="Where the challenge's files lie; left out: below root.")
    embedding: VariantChoice


def resolved(parameters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every block with its defaults, by its name, as JSON."""
    typed = {name: settings.model_validate(find(parameters, name, {})) for name, settings in SETTINGS.items()}
    return {name: block.model_dump(mode="json") for name, block in typed.items()}


def check_settings(parameters: dict[str, Any], one_line_choices: dict[str, Any], given: dict[str, Any]) -> None:
    """Check every setting of the project, whether the coming run uses it or not.

    Args:
        parameters: The merged tree of conf/ and ``--params``.
        one_line_choices: The tree of globals.yml, whose keys ``--params`` may also set.
        given: What came by ``--params``.

    Raises:
        MmctrError: With every problem found: its key, the value seen, what was expected.
    """
    tree, choices = nested(dict.fromkeys(SETTINGS)), list(OneLineChoices.model_fields)
    ours = {key: value for key, value in parameters.items() if key in tree or key not in choices or key not in given}
    # `embedding` is a block too, and checked there.
    chosen = {key: value for key, value in given.items() if key in choices and key not in tree}
    problems = [
        *_problems_of("globals", OneLineChoices, one_line_choices),
        *_problems_of("--params", OneLineChoices, one_line_choices | chosen, only=set(chosen)),
        *_unknown_blocks(ours, tree, extra=choices),
    ]
    for name, settings in SETTINGS.items():
        problems += _problems_of(name, settings, find(ours, name, {}))
    # What is wrong with `ctr` is wrong with those that it is the default of.
    problems = [line for line in problems if line.startswith("task1.") or line.partition(".")[2] not in problems]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise MmctrError(f"{len(problems)} wrong setting(s) in conf/ or --params:\n{listed}")


def refuse_idle(given: dict[str, Any], read: Collection[str], pipeline: str) -> None:
    """Refuse what came by ``--params`` and would act on nothing.

    Args:
        given: What came by ``--params``, known to be settings.
        read: Names of the datasets that the coming run reads; those of settings begin with ``params:``.
        pipeline: What to call the run in the error.

    Raises:
        MmctrError: With the setting that acts instead, where one of the same name does.
    """
    acting = [name for name in SETTINGS if f"params:{name}" in read]
    if "parameters" in read and not any(name.endswith(".ctr") for name in acting):
        return  # bundles what was trained before: every setting goes into the bundle
    defaults = ["ctr"] if {"task2.ctr", "task1_and_2.ctr"} & set(acting) else []
    for key, _ in leaves({key: value for key, value in given.items() if key in nested(SETTINGS)}):
        if not any(f"{key}.".startswith(f"{name}.") for name in [*acting, *defaults]):
            block = next(name for name in SETTINGS if f"{key}.".startswith(f"{name}."))
            twins = [f"{name}{key.removeprefix(block)}" for name in acting if name.endswith(block.split(".")[-1])]
            hint = (
                f"Did you mean {' or '.join(twins)}?" if twins else f"Settings that act: {', '.join(acting) or 'none'}."
            )
            raise MmctrError(f"--params {key} acts on nothing in this run ({pipeline}). {hint}")


def _unknown_blocks(values: Any, tree: dict[str, Any], at: str = "", extra: Sequence[str] = ()) -> Iterator[str]:
    """Keys that are no block of ``tree``, whose blocks are None."""
    if not isinstance(values, dict):
        yield f"{at}: expected a block with {', '.join(tree)}, got {values!r}"
        return
    for key, value in values.items():
        if key not in tree:
            inner = [name for name, _ in leaves(resolved({})) if name.startswith(f"{at}." if at else "")]
            yield (f"{at}: " if at else "") + suggest(str(key), [*tree, *extra], inner)
        elif tree[key] is not None:
            yield from _unknown_blocks(value, tree[key], f"{at}.{key}".lstrip("."))


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
            if problem["type"] in ("model_type", "model_attributes_type"):
                message = "expected a block of settings: set those in it"
            seen = "" if problem["type"] == "value_error" else f", got {problem['input']!r}"
            hint = " (a block without any line is written {})" if problem["input"] is None and block is None else ""
            yield f"{place}: {message}{seen}{hint}"
