"""The catalog's handle on what nodes read and write through: stores, and what is read from a place and never saved."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NoReturn

import numpy as np
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import ImagePreview, TablePreview

from mmctr_kedro.data.covers import Covers, find_container
from mmctr_kedro.data.images import Refused, decode
from mmctr_kedro.datasets.previews import files_table, of_what_is_there, png

_SHEET = (4, 6)  # covers down and across
_SIDE, _GREY = 112, 200  # pixels; of 255


class StoreDataset(AbstractDataset[Any, Any]):
    """Loads ``store(Path(filepath))``, whether or not anything is there yet.

    Args:
        store: A class or function by its full name. For the planner it may have ``cache = True``, where what lies there
            decides no result, only how soon it is there, or ``fingerprint()``, which says what it is.
    """

    def __init__(self, *, filepath: str, store: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._store = resolve_name(store)
        self.cache = getattr(self._store, "cache", False)
        self.metadata = metadata

    @property
    def fingerprint(self) -> Callable[[], str]:
        """The store's own; there is none (AttributeError) where the store has none."""
        return partial(self._store.fingerprint, self._store(self._filepath))

    def load(self) -> Any:
        return self._store(self._filepath)

    def save(self, data: Any) -> NoReturn:
        raise DatasetError(
            f"{self._filepath} is a store and cannot be a node's output. Take it as an input, write through it and "
            "return a description of what was written, as raw_files does."
        )

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "store": self._store.__qualname__}

    @of_what_is_there
    def preview(self) -> TablePreview:
        """The files there are."""
        return files_table(self._filepath)


class CoversDataset(StoreDataset):
    """The ``Covers`` of a raw folder."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(filepath=filepath, store="mmctr_kedro.data.covers.Covers.find", metadata=metadata)

    @of_what_is_there
    def preview(self) -> ImagePreview:
        """The covers of the first items side by side, as base64 of a PNG; a grey square for what cannot be read.

        None where there are none, and of an archive that is read from its start, which may take minutes.
        """
        container = find_container(self._filepath)
        if container is None or container.suffix.lower() in (".gz", ".tgz", ".rar"):
            return None  # not in the annotation, which Kedro-Viz takes for the kind
        down, across = _SHEET
        covers = Covers(container)
        tiles = np.full((down * across, _SIDE, _SIDE, 3), _GREY, np.uint8)
        for place, (_, data) in enumerate(covers.read(covers.item_ids[: down * across])):
            if not isinstance(picture := decode(data, _SIDE), Refused):
                tiles[place] = picture
        return png(tiles.reshape(down, across, _SIDE, _SIDE, 3).swapaxes(1, 2).reshape(down * _SIDE, across * _SIDE, 3))
