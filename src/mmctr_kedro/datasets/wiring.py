"""A registered pipeline as plain facts, for the rules that look at what is wired to what."""

from __future__ import annotations

from functools import partial
from typing import Any, NoReturn

from kedro.framework.project import pipelines
from kedro.io import AbstractDataset, DatasetError
from kedro.pipeline import Pipeline

from mmctr_kedro.submission.rules.wiring import NodeFacts


class WiringDataset(AbstractDataset[list[NodeFacts], list[NodeFacts]]):
    """Loads the nodes of the registered pipeline of this name."""

    def __init__(self, *, pipeline: str, metadata: dict[str, Any] | None = None) -> None:
        self._pipeline = pipeline
        self.metadata = metadata

    def load(self) -> list[NodeFacts]:
        return wiring_of(pipelines[self._pipeline])

    def fingerprint(self) -> str:
        """For the planner."""
        return repr(self.load())

    def save(self, data: list[NodeFacts]) -> NoReturn:
        raise DatasetError("The wiring is read from the registry; it cannot be a node's output.")

    def _describe(self) -> dict[str, Any]:
        return {"pipeline": self._pipeline}


def wiring_of(pipeline: Pipeline) -> list[NodeFacts]:
    """The nodes of a pipeline in the order they run."""
    return [NodeFacts(node.name, _name(node.func), tuple(node.inputs), tuple(node.outputs)) for node in pipeline.nodes]


def _name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return f"{function.__module__}.{function.__qualname__}"
