"""NumPy arrays in ``.npy`` files, given out as read-only memory maps."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from kedro_datasets._typing import TablePreview

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.sealed import SealedDataset

PREVIEW_ROWS, PREVIEW_COLUMNS = 5, 8
_ARRAYS = [field.name for field in fields(Clicks)]
_OPTIONAL = {"label"}  # test has none


def load_array(path: Path) -> np.ndarray:
    """The array in ``path``, memory-mapped where it has any bytes (nothing cannot be mapped), read-only.

    Raises:
        MmctrError: It is no array, one of Python objects (a pickle), or shorter than its header says.
    """
    try:
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:
            with path.open("rb") as file:  # of an empty one the header says all
                np.lib.format.read_magic(file)
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if dtype.hasobject or 0 not in shape:
                raise
            array = np.empty(shape, dtype)
    except (ValueError, EOFError, OverflowError, MemoryError) as error:
        raise MmctrError(
            f"{path} cannot be read as a .npy array ({' '.join(str(error).split())[:200]}). Make it again: "
            "kedro run, with the pipeline that makes it"
        ) from error
    array.flags.writeable = False
    return array


class NpyDataset(SealedDataset[np.ndarray]):
    """A ``.npy`` file. Two pipelines that share a contract may both make it: an equal array leaves it alone."""

    def _read(self, path: Path) -> np.ndarray:
        return load_array(path)

    def _write(self, data: np.ndarray, path: Path) -> None:
        with path.open("wb") as file:  # to a name NumPy would add .npy
            np.save(file, np.asarray(data, order="C"), allow_pickle=False)

    def preview(self) -> TablePreview:
        """Shape and dtype as the title of the index, then the first rows and columns."""
        array = load_array(self._filepath)
        head = np.atleast_1d(array)[:PREVIEW_ROWS]
        head = head.reshape(len(head), math.prod(head.shape[1:]))[:, :PREVIEW_COLUMNS]
        rows = [[index, *row] for index, row in enumerate(head.tolist())]
        columns = [f"row of {list(array.shape)} {array.dtype}", *map(str, range(head.shape[1]))]
        return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": rows})


class ClicksDataset(SealedDataset[Clicks]):
    """A split of ``Clicks`` as a folder of ``.npy`` files, one per array."""

    def _read(self, path: Path) -> Clicks:
        if missing := [name for name in _ARRAYS if name not in _OPTIONAL and not (path / f"{name}.npy").is_file()]:
            raise MmctrError(
                f"{path} has no {', '.join(f'{name}.npy' for name in missing)}. "
                "Make it again: kedro run --pipeline data_processing"
            )
        files = {name: path / f"{name}.npy" for name in _ARRAYS}
        return Clicks(**{name: load_array(file) for name, file in files.items() if file.is_file()})

    def _write(self, data: Clicks, path: Path) -> None:
        path.mkdir()
        for name in _ARRAYS:
            if (array := getattr(data, name)) is not None:
                np.save(path / f"{name}.npy", np.asarray(array, order="C"), allow_pickle=False)

    def preview(self) -> TablePreview:
        """One row per array: its name, shape, dtype and first values."""
        arrays: dict[str, Any] = vars(self._read(self._filepath))
        rows = [
            [name, str(list(array.shape)), str(array.dtype), str(array[:PREVIEW_ROWS].tolist())[1:-1]]
            for name, array in arrays.items()
            if array is not None
        ]
        columns = ["array", "shape", "dtype", "first values"]
        return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": rows})
