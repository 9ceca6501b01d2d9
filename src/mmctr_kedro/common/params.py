"""What every settings class stands on: frozen, nothing extra, and a suggestion for a misspelt key.

Kedro builds settings from YAML before the first node runs; defaults live in the classes, so that YAML holds only what
an environment chooses. A room's classes are in its ``settings.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mmctr_kedro.common.words import did_you_mean

TASKS = ("task1", "task2", "task1_and_2")  # the submission types; also namespaces and blocks of parameters


def suggest(unknown: str, known: list[str], inner: Sequence[str] = ()) -> str:
    """Say that a key is unknown, with the nearest known one and the full list.

    ``inner`` are settings by their whole names; those whose last word is this key are nearest.
    """
    whole = sorted(
        (name for name in inner if name.rpartition(".")[2] == unknown), key=lambda name: (name.count("."), len(name))
    )
    hint = f" Did you mean {' or '.join(whole[:3])}?" if whole else did_you_mean(unknown, known)
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

    seed: int = Field(
        20242025, ge=0, lt=2**63, description="The same seed, data, settings and machine give the same bytes."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA where torch finds it.")
    threads: int = Field(2, ge=1, description="CPU threads; equal bytes need equally many, on any machine.")


def find(values: Any, name: str, otherwise: Any = None) -> Any:
    """The block of this dotted name in a tree; ``otherwise`` where there is none."""
    for key in name.split("."):
        if not isinstance(values, dict) or key not in values:
            return otherwise
        values = values[key]
    return values


def nested(blocks: dict[str, Any]) -> dict[str, Any]:
    """Blocks by their dotted names as conf/ has them: ``{"a": 1, "b.c": 2}`` as ``{"a": 1, "b": {"c": 2}}``."""
    tree: dict[str, Any] = {}
    for name, block in blocks.items():
        *parents, leaf = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = block
    return tree


def leaves(values: Any, at: str = "", dot: str = ".") -> Iterator[tuple[str, Any]]:
    """``{"a": {"b": 1}}`` as ``("a.b", 1)``, which is how ``--params`` takes it; or with another ``dot``."""
    if not isinstance(values, dict):
        yield at, values
        return
    for key, value in values.items():
        yield from leaves(value, f"{at}{dot}{key}" if at else str(key), dot)


def at_home(values: Any) -> Any:
    """A tree of settings with the home folder for a path's ``~/``, which a shell leaves after ``root=``."""
    if isinstance(values, dict):
        return {key: at_home(value) for key, value in values.items()}
    return os.path.expanduser(values) if isinstance(values, str) and values.startswith("~/") else values
