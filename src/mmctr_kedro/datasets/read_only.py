"""The catalog's handle on somebody's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from kedro.utils import load_obj


class ReadOnlyDataset(AbstractDataset[Any, Any]):
    """Loads what a function tells of a file: ``reader`` is its dotted name, and it takes the path."""

    def __init__(self, *, filepath: str, reader: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._read = load_obj(reader)
        self.metadata = metadata

    def load(self) -> Any:
        return self._read(self._filepath)

    def save(self, data: Any) -> NoReturn:
        raise DatasetError(f"{self._filepath} is somebody's file and is only read.")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
