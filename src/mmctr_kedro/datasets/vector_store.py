"""The catalog's handle on what encoders have encoded so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NoReturn

from kedro.io import AbstractDataset, DatasetError

from mmctr_kedro.encoders.store import VectorStore


class VectorStoreDataset(AbstractDataset[VectorStore, VectorStore]):
    """Loads a ``VectorStore``, whether or not anything is in it yet.

    It only grows: remove the folder to be rid of what no item needs any more.
    """

    cache: ClassVar[bool] = True  # what lies there decides no result, only how soon it is there (planner)

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> VectorStore:
        return VectorStore(self._path)

    def save(self, data: VectorStore) -> NoReturn:
        raise DatasetError(f"{self._path} is a store that the encoders fill; it cannot be a node's output.")

    def _exists(self) -> bool:
        return self._path.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
