"""NumPy arrays in ``.npy`` files, given out as read-only memory maps."""

from __future__ import annotations

from dataclasses import fields
from itertools import islice
from pathlib import Path

import numpy as np
from kedro_datasets._typing import TablePreview

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.previews import COLUMNS, SHOWN, of_what_is_there, table
from mmctr_kedro.datasets.sealed import SealedDataset

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

    @of_what_is_there
    def preview(self) -> TablePreview:
        """The first rows and columns under shape and dtype; says of row 0 that it is padding where it is zeros."""
        array = load_array(self._filepath)
        rows_of = array if array.ndim > 1 else array.reshape(-1, 1)
        *outer, width = rows_of.shape
        rows = []
        for place in islice(np.ndindex(*outer), SHOWN):
            row = rows_of[place]
            padding = " (padding)" if width > 1 and place[-1] == 0 and not row.any() else ""
            rows.append([", ".join(map(str, place)) + padding, *row[:COLUMNS].tolist()])
        return table([f"row of {list(array.shape)} {array.dtype}", *map(str, range(min(width, COLUMNS)))], rows)


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

    @of_what_is_there
    def preview(self) -> TablePreview:
        """The first rows, their users and histories with them, under the dtypes."""
        clicks = self._read(self._filepath)
        which = clicks.history[:SHOWN]
        ends = zip(clicks.history_offsets[which], clicks.history_offsets[which + 1], strict=True)
        of_rows = {name: getattr(clicks, name) for name in ("item", "likes_level", "views_level", "label")}
        of_rows = {f"{name} {array.dtype}": array[:SHOWN] for name, array in of_rows.items() if array is not None}
        columns = {
            f"row of {len(clicks):,}": range(len(which)),
            f"user {clicks.history_user.dtype}": clicks.history_user[which].tolist(),
            f"history {clicks.history_items.dtype}[], oldest first": [
                clicks.history_items[start:end].tolist() for start, end in ends
            ],
            **{name: array.tolist() for name, array in of_rows.items()},
        }
        return table(list(columns), zip(*columns.values(), strict=True))
