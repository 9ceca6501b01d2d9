"""The catalog's handle on the cover images of a raw folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from mmctr_kedro.data.covers import Covers


class CoversDataset(AbstractDataset[Covers, Covers]):
    """Loads ``Covers.find(filepath)``: indexed anew at every load, because ``simulate`` and ``import_log``
    write covers during the run. A folder without covers, or not there at all, gives the empty store.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Covers:
        return Covers.find(self._path)

    def save(self, data: Covers) -> NoReturn:
        raise DatasetError(
            f"The covers of {self._path} are read only. Write them as files: {self._path}/item_images/{{item_id}}.jpg"
        )

    def _exists(self) -> bool:
        return self._path.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
