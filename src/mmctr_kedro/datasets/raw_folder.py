"""The catalog's handle on a folder of raw files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from mmctr_kedro.data.challenge import RawFolder


class RawFolderDataset(AbstractDataset[RawFolder, RawFolder]):
    """Loads a ``RawFolder``, whether or not anything is in it yet.

    The folder is a store: nodes take it as an input and write through it, so it has no one output to save.
    Order in the graph comes from ``raw_files``, which the node that fills the folder returns.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> RawFolder:
        return RawFolder(self._path)

    def save(self, data: RawFolder) -> NoReturn:
        raise DatasetError(
            f"{self._path} is a store and cannot be a node's output. Take it as an input, write through it "
            "(RawFolder.file) and return a description of what was written, as raw_files does."
        )

    def _exists(self) -> bool:
        return self._path.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
