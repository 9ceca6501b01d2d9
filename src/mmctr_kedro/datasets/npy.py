"""One NumPy array in a ``.npy`` file, given out as a read-only memory map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.seals import check_seal, seal, sealed_write

PIECE = 1 << 24  # bytes
PREVIEW_ROWS, PREVIEW_COLUMNS = 5, 8


def load_array(path: Path) -> np.ndarray:
    """The array in ``path``, memory-mapped where it has any bytes (nothing cannot be mapped), read-only.

    Raises:
        MmctrError: It is no array, one of Python objects (a pickle), or shorter than its header says.
    """
    try:
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError:
            array = _empty_array(path)
    except (ValueError, EOFError, OverflowError, MemoryError) as error:
        raise MmctrError(
            f"{path} cannot be read as a .npy array ({' '.join(str(error).split())[:200]}). Make it again: "
            "kedro run, with the pipeline that makes it"
        ) from error
    array.flags.writeable = False
    return array


def _empty_array(path: Path) -> np.ndarray:
    """An array without any number in it, from its header alone: nothing is taken on the word of a header."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.hasobject or 0 not in shape:
        raise ValueError(f"its header says {dtype} {list(shape)}, which is not what follows")
    return np.empty(shape, dtype)


def holds(path: Path, array: np.ndarray) -> bool:
    """Whether ``path`` already holds exactly this array: dtype, shape and every byte (NaN equals itself)."""
    try:
        stored = load_array(path)
    except (OSError, ValueError, EOFError):
        return False  # absent, or no array: to be written anew
    if stored.dtype != array.dtype or stored.shape != array.shape:
        return False
    ours, theirs = _bytes(array), _bytes(stored)
    # Piece by piece: comparing makes an array of its own, and either may be larger than memory.
    return all(np.array_equal(ours[at : at + PIECE], theirs[at : at + PIECE]) for at in range(0, len(ours), PIECE))


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


class NpyDataset(AbstractDataset[np.ndarray, np.ndarray]):
    """A ``.npy`` file, sealed. Loads a read-only memory map; saves atomically, and only what differs.

    An array equal to the stored one leaves the file alone, so that two pipelines sharing a contract may both
    make it.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> np.ndarray:
        check_seal(self._filepath)
        return load_array(self._filepath)

    def save(self, data: np.ndarray) -> None:
        array = np.asarray(data, order="C")
        if holds(self._filepath, array):
            seal(self._filepath)
            return
        with sealed_write(self._filepath) as temporary:
            np.save(temporary, array, allow_pickle=False)

    def preview(self) -> TablePreview:
        """Shape and dtype as the title of the index, then the first rows and columns."""
        array = load_array(self._filepath)
        head = np.atleast_1d(array)[:PREVIEW_ROWS]
        head = head.reshape(len(head), math.prod(head.shape[1:]))[:, :PREVIEW_COLUMNS]
        title = f"row of {list(array.shape)} {array.dtype}"
        rows = [[index, *row] for index, row in enumerate(head.tolist())]
        return TablePreview(
            {
                "index": list(range(len(rows))),
                "columns": [title, *map(str, range(head.shape[1]))],
                "data": rows,
            }
        )

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
