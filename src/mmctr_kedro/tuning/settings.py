"""Settings of the search for settings; without optuna, so that reading them is quick."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field, field_validator, model_validator

from mmctr_kedro.common.params import Params


class Range(Params):
    """Numbers from ``low`` to ``high``; whole ones where the setting is one."""

    low: float
    high: float
    log: bool = Field(False, description="Drawn evenly by order of magnitude.")

    @model_validator(mode="after")
    def _ascends(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"expected low < high, and with log 0 < low; got {self.low:g} and {self.high:g}.")
        return self


Space = dict[str, Range | list[bool | int | float | str]]


class TuneParams(Params):
    """The search for settings of ``{task}.ctr`` (pipeline ``tune``)."""

    minutes: float = Field(30.0, gt=0, description="No trial starts later; of each run of the search.")
    trials: int = Field(100, ge=1, description="No more trials than these, those of earlier runs included.")
    workers: int = Field(1, ge=1, description="Processes that share the study.")
    storage: str | None = Field(
        None, description="Address of an SQL database (postgresql+psycopg://host/name); None: an SQLite file."
    )
    space: Space = Field(
        {}, description="Settings of {task}.ctr, each a range or a list of values; none: those ready for the model."
    )
    first_cut: int = Field(
        4, ge=1, description="Evaluations after which the worse trials are ended for the first time."
    )
    keep: int = Field(3, ge=2, description="One trial in so many outlives a cut; the next is so many times later.")
    finalists: int = Field(3, ge=1, description="The best trials, which are repeated.")
    seeds: int = Field(3, ge=1, description="Trainings of a finalist; the first has the seed of the search.")
    seed: int = Field(20242025, ge=0, lt=2**31, description="Of what is drawn to try, and of a trial's training.")

    @field_validator("space", mode="before")
    @classmethod
    def _by_dotted_name(cls, space: Any) -> Any:
        return dict(_flat(space)) if isinstance(space, dict) else space


def _flat(tree: dict[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Nested as settings are, ``{"model": {"width": [64]}}``, by dotted names."""
    for key, value in tree.items():
        if isinstance(value, dict) and not value.keys() & Range.model_fields.keys():
            yield from _flat(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value
