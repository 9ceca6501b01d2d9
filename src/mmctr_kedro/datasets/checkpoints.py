"""The catalog's handle on the checkpoint of an unfinished training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NoReturn

from kedro.io import AbstractDataset, DatasetError

from mmctr_kedro.training.checkpoints import Checkpoints


class CheckpointsDataset(AbstractDataset[Checkpoints, Checkpoints]):
    """Loads a ``Checkpoints``, whether or not there is one to go on from.

    A store, as a raw folder is: the node that trains takes it as an input and writes through it. It is empty
    again once that node's outputs are saved (``hooks``).
    """

    cache: ClassVar[bool] = True  # what lies there decides no result, only how soon it is there (planner)

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Checkpoints:
        return Checkpoints(self._filepath)

    def save(self, data: Checkpoints) -> NoReturn:
        raise DatasetError(
            f"{self._filepath} is a store and cannot be a node's output. Take it as an input and write through it "
            "(Checkpoints.save)."
        )

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
