"""A split of clicks as a folder of ``.npy`` files, one per array of ``batch.Clicks``."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.seals import check_seal, seal, sealed_write
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.npy import PREVIEW_ROWS, holds, load_array

_NAMES = [field.name for field in fields(Clicks)]
_OPTIONAL = {"label"}  # test has none


class ClicksDataset(AbstractDataset[Clicks, Clicks]):
    """``Clicks`` on disk, sealed. Loads read-only memory maps; saves the whole folder atomically, if it differs."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Clicks:
        self._require_arrays()
        check_seal(self._filepath)  # before anything is read: a damaged header would fail in words of NumPy's
        return Clicks(**self._read())

    def _require_arrays(self) -> None:
        if missing := [name for name in _NAMES if name not in _OPTIONAL and not self._file(name).is_file()]:
            raise MmctrError(
                f"{self._filepath} has no {', '.join(f'{name}.npy' for name in missing)}. "
                "Make it again: kedro run --pipeline data_processing"
            )

    def _read(self) -> dict[str, np.ndarray]:
        return {name: load_array(self._file(name)) for name in _NAMES if self._file(name).is_file()}

    def save(self, data: Clicks) -> None:
        arrays = {name: np.asarray(value, order="C") for name in _NAMES if (value := getattr(data, name)) is not None}
        if self._holds(arrays):
            seal(self._filepath)
            return
        with sealed_write(self._filepath) as temporary:
            temporary.mkdir()
            for name, array in arrays.items():
                np.save(temporary / f"{name}.npy", array, allow_pickle=False)

    def preview(self) -> TablePreview:
        """One row per array: its name, shape, dtype and first values."""
        self._require_arrays()
        rows = [
            [
                name,
                str(list(array.shape)),
                str(array.dtype),
                str(array[:PREVIEW_ROWS].tolist())[1:-1],
            ]
            for name, array in self._read().items()
        ]
        columns = ["array", "shape", "dtype", "first values"]
        return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": rows})

    def _holds(self, arrays: dict[str, np.ndarray]) -> bool:
        stored = {path.stem for path in self._filepath.glob("*.npy")}
        return stored == set(arrays) and all(holds(self._file(name), array) for name, array in arrays.items())

    def _file(self, name: str) -> Path:
        return self._filepath / f"{name}.npy"

    def _exists(self) -> bool:
        return all(self._file(name).is_file() for name in _NAMES if name not in _OPTIONAL)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
