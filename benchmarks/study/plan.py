"""What the study runs: the table of choices (study.yml) as a list of trainings, each with the key it is known by.

A run = data set x embedding x CTR model (or variant of ours) x seed. Its kind says which table it is for: ``model``
(CTR models on one embedding), ``ablation`` (variants of our model), ``embedding`` (embeddings under the fixed DIN).
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import CtrParams, Params
from mmctr_kedro.fusion import MODALITIES, VARIANTS

ROOT = Path(__file__).parents[2]
CHOICES = ROOT / "benchmarks" / "study.yml"
SHARED = {"epochs", "patience", "evaluate_every", "seed", "threads", "device", "checkpoint_minutes"}  # not a model's
EMBEDDINGS = "04_feature/study"  # below a data set's root: what the study itself builds
# What decides what a training does with its settings and data; a model's file is found from there.
LOOP = ("training.loop", "training.machine", "training.comparing")


class Budget(Params):
    """What every training may take."""

    epochs: int
    patience: int
    evaluate_every: int | None = None
    cpu_seconds: float


class DataChoice(Params):
    """A data set and the embeddings that lie in it."""

    title: str
    env: str
    root: str
    build: str
    params: str = Field("", description="More for kedro's --params, e.g. simulate.law=taste.")
    leak_free: int = Field(0, ge=0, description="Seeds whose models are trained on rows with own levels too.")
    embedding: str
    embeddings: dict[str, str]


class Ablation(Params):
    """Variants of our model: label to settings over ours."""

    data: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    variants: dict[str, dict[str, Any]] = Field({})


class Comparison(Params):
    """Two embeddings whose test rows are scored, once, for an interval of their difference."""

    ours: str
    other: str
    data: tuple[str, ...]
    seeds: tuple[int, ...]


class Embeddings(Params):
    """Every variant of the embedding under the fixed DIN; of some also text alone and image alone."""

    settings: dict[str, Any] = Field({})
    budget: Budget
    seeds: tuple[int, ...]
    variants: tuple[str, ...] = VARIANTS
    alone: tuple[str, ...] = ()
    compared: Comparison | None = None

    @model_validator(mode="after")
    def _variants_are_known(self) -> Embeddings:
        named = {*self.variants, *self.alone, *((self.compared.ours, self.compared.other) if self.compared else ())}
        if unknown := sorted(named - set(VARIANTS)):
            raise ValueError(f"embeddings: no variants {unknown}; known: {', '.join(VARIANTS)}.")
        return self

    def names(self) -> list[str]:
        """``variant``, or ``variant.modality`` for one modality alone."""
        return [*self.variants, *(f"{variant}.{modality}" for variant in self.alone for modality in MODALITIES)]


class Choices(Params):
    """study.yml."""

    ours: str
    seeds: tuple[int, ...]
    budget: Budget
    data: dict[str, DataChoice]
    models: dict[str, dict[str, dict[str, Any]]]
    fewer_seeds: dict[str, int] = Field({}, description="Models that get the first so many seeds alone.")
    ablation: Ablation = Ablation()
    embeddings: Embeddings | None = None
    notes: tuple[str, ...] = ()

    def digest(self) -> str:
        """Of every choice between models, whatever comments and notes say."""
        apart = {"notes": True, "embeddings": True, "data": {"__all__": {"root"}}}
        return digest(self.model_dump(mode="json", exclude=apart))

    def embeddings_digest(self) -> str:
        """Of every choice between embeddings."""
        return digest(self.embeddings.model_dump(mode="json") if self.embeddings else None)

    def embedding_file(self, run: Run) -> str:
        """Below the root of the run's data."""
        if run.kind == "embedding":
            return f"{EMBEDDINGS}/{run.embedding}.npy"
        return self.data[run.data].embeddings[run.embedding]


@dataclass(frozen=True)
class Run:
    """One training. ``label`` is the model's name or that of a variant of ours; ``settings`` is ``CtrParams`` JSON."""

    data: str
    embedding: str
    kind: str  # "model", "leak_free", "ablation" or "embedding"
    label: str
    seed: int
    cpu_seconds: float
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.data}.{self.embedding}.{self.kind}.{re.sub('[^a-z0-9]+', '_', self.label.lower())}.{self.seed}"

    def settings_digest(self) -> str:
        return digest([self.settings, self.cpu_seconds])


def read_choices(path: Path = CHOICES) -> Choices:
    try:
        return Choices(**yaml.safe_load(path.read_text()))
    except ValidationError as error:
        raise MmctrError(f"{path}: {error}") from error


def plan(choices: Choices) -> list[Run]:
    """Every run, seed by seed, so that an unfinished study has whole rounds; ablations, then embeddings last."""
    if unknown := set(choices.fewer_seeds) - set(choices.models):
        raise MmctrError(f"study.yml: fewer_seeds has {sorted(unknown)}; known: {', '.join(choices.models)}.")
    runs = [
        _run(choices, data, kind, model, seed, model, {})
        for number, seed in enumerate(choices.seeds)
        for data, choice in choices.data.items()
        for model in choices.models
        for kind in ("model", *(["leak_free"] if number < choice.leak_free else []))
        if number < choices.fewer_seeds.get(model, len(choices.seeds))
    ]
    ablation = choices.ablation
    if unknown := set(ablation.data) - set(choices.data):
        raise MmctrError(f"study.yml: ablation.data has {sorted(unknown)}; known: {', '.join(choices.data)}.")
    runs += [
        _run(choices, data, "ablation", label, seed, choices.ours, over)
        for seed in ablation.seeds
        for data in ablation.data
        for label, over in ablation.variants.items()
    ]
    runs += _embedding_runs(choices)
    names = [run.name for run in runs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise MmctrError(f"study.yml: runs are named alike: {', '.join(repeated)}. Give labels other words.")
    return runs


def _embedding_runs(choices: Choices) -> list[Run]:
    table = choices.embeddings
    if table is None:
        return []
    wanted = [(seed, data, name) for seed in table.seeds for data in choices.data for name in table.names()]
    if pair := table.compared:
        wanted += [(seed, data, name) for seed in pair.seeds for data in pair.data for name in (pair.ours, pair.other)]
    budget = table.budget.model_dump(exclude={"cpu_seconds"})
    runs = []
    for seed, data, name in dict.fromkeys(wanted):
        params = CtrParams(**{"model": {"name": "din"}, **table.settings, **budget, "seed": seed, "device": "cpu"})
        full = params.model_dump(mode="json", exclude={"threads", "checkpoint_minutes"})
        runs.append(Run(data, name, "embedding", "din", seed, table.budget.cpu_seconds, full))
    return runs


def _run(choices: Choices, data: str, kind: str, label: str, seed: int, model: str, over: dict[str, Any]) -> Run:
    table = choices.models[model]
    if unknown := set(table) - {"all", *choices.data}:
        raise MmctrError(f"study.yml: models.{model} has {sorted(unknown)}; known: all, {', '.join(choices.data)}.")
    settings = _merged({"model": {"name": model}}, table.get("all", {}), table.get(data, {}), over)
    if taken := SHARED & set(settings):
        raise MmctrError(f"study.yml: {label} sets {', '.join(sorted(taken))}, which all models share (budget, seeds).")
    budget = choices.budget.model_dump(exclude={"cpu_seconds"})
    params = CtrParams(**settings, **budget, seed=seed, device="cpu")
    full = params.model_dump(mode="json", exclude={"threads", "checkpoint_minutes"})
    return Run(data, choices.data[data].embedding, kind, label, seed, choices.budget.cpu_seconds, full)


def _merged(*blocks: dict[str, Any]) -> dict[str, Any]:
    """Later blocks over earlier ones, nested ones key by key."""
    merged: dict[str, Any] = {}
    for block in blocks:
        for key, value in block.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = _merged(merged[key], value) if both else value
    return merged


# --- keys ------------------------------------------------------------------------------------------------


def digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def meaning_digest(files: list[Path]) -> str:
    """Of the code in these files; comments, docstrings and layout do not count."""
    return digest([[path.name, _meaning(path)] for path in files])


def code_digest(run: Run) -> str:
    """Of the code that trains this run: its model, the loop and what these import of models/ and training/."""
    return meaning_digest(_closure([f"models.{run.settings['model']['name']}", *LOOP]))


_IMPORTS = re.compile(r"^\s*from mmctr_kedro\.((?:models|training)\.\w+) import", re.MULTILINE)


def _closure(modules: list[str]) -> list[Path]:
    """The files of these modules and of all they import of models/ and training/, by name."""
    package, found, waiting = ROOT / "src" / "mmctr_kedro", {}, list(modules)
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found[module] = package / (module.replace(".", "/") + ".py")
        waiting += _IMPORTS.findall(found[module].read_text())
    return [found[module] for module in sorted(found)]


def _meaning(path: Path) -> str:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0].value.value = ""
    return ast.dump(tree)
