"""What the study runs: the table of choices (study.yml) as a list of trainings, each with the key it is known by.

A run = data set x CTR model x seed. Its kind says on which rows: ``model`` on those of the data set, ``leak_free`` on
the same with their own items' levels.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import Params
from mmctr_kedro.models.settings import CtrParams

ROOT = Path(__file__).parents[2]
CHOICES = ROOT / "benchmarks" / "study.yml"
SHARED = {"epochs", "patience", "evaluate_every", "seed", "threads", "device", "checkpoint_minutes"}  # not a model's


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


class Choices(Params):
    """study.yml."""

    ours: str
    seeds: tuple[int, ...]
    budget: Budget
    data: dict[str, DataChoice]
    models: dict[str, dict[str, dict[str, Any]]]
    fewer_seeds: dict[str, int] = Field({}, description="Models that get the first so many seeds alone.")
    notes: tuple[str, ...] = ()

    def digest(self) -> str:
        """Of every choice, whatever comments and notes say."""
        apart = {"notes": True, "data": {"__all__": {"root"}}}
        return digest(self.model_dump(mode="json", exclude=apart))

    def embedding_file(self, data: str) -> str:
        """Below the root of a data set."""
        return self.data[data].embeddings[self.data[data].embedding]


@dataclass(frozen=True)
class Run:
    """One training. ``label`` is the model's name in study.yml; ``settings`` is ``CtrParams`` JSON."""

    data: str
    embedding: str
    kind: str  # "model" or "leak_free"
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
    """Every run, seed by seed, so that an unfinished study has whole rounds."""
    if unknown := set(choices.fewer_seeds) - set(choices.models):
        raise MmctrError(f"study.yml: fewer_seeds has {sorted(unknown)}; known: {', '.join(choices.models)}.")
    runs = [
        _run(choices, data, kind, model, seed)
        for number, seed in enumerate(choices.seeds)
        for data, choice in choices.data.items()
        for model in choices.models
        for kind in ("model", *(["leak_free"] if number < choice.leak_free else []))
        if number < choices.fewer_seeds.get(model, len(choices.seeds))
    ]
    names = [run.name for run in runs]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise MmctrError(f"study.yml: runs are named alike: {', '.join(repeated)}. Give labels other words.")
    return runs


def _run(choices: Choices, data: str, kind: str, model: str, seed: int) -> Run:
    table = choices.models[model]
    if unknown := set(table) - {"all", *choices.data}:
        raise MmctrError(f"study.yml: models.{model} has {sorted(unknown)}; known: all, {', '.join(choices.data)}.")
    settings = _merged({"model": {"name": model}}, table.get("all", {}), table.get(data, {}))
    if taken := SHARED & set(settings):
        raise MmctrError(f"study.yml: {model} sets {', '.join(sorted(taken))}, which all models share (budget, seeds).")
    budget = choices.budget.model_dump(exclude={"cpu_seconds"})
    params = CtrParams(**settings, **budget, seed=seed, device="cpu")
    full = params.model_dump(mode="json", exclude={"threads", "checkpoint_minutes"})
    return Run(data, choices.data[data].embedding, kind, model, seed, choices.budget.cpu_seconds, full)


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
