"""kedro-datasets' own file datasets, with what they lack: whole or not at all on disk, and sealed."""

from __future__ import annotations

from copy import copy
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from kedro.io.core import get_filepath_str
from kedro_datasets import json, pandas, plotly, text

from mmctr_kedro.common.seals import check_seal, sealed_write

_Base: Any = object  # stands for AbstractVersionedDataset, which as a base would take the library's __init__ away


class _Sealed(_Base):
    """Before a library's dataset: saves through ``sealed_write`` and checks the seal at load.

    Only local files; to an object store the library writes as ever, where a save is one step anyway.
    """

    def load(self) -> Any:
        if self._protocol == "file":
            check_seal(Path(get_filepath_str(self._get_load_path(), "file")))
        return _unwrapped(super().load)(self)

    def save(self, data: Any) -> None:
        save = _unwrapped(super().save)
        if self._protocol != "file":
            save(self, data)
            return
        with sealed_write(Path(get_filepath_str(self._get_save_path(), "file"))) as temporary:
            elsewhere = copy(self)
            elsewhere._filepath, elsewhere._version = PurePosixPath(temporary), None
            save(elsewhere, data)


def _unwrapped(method: Any) -> Any:
    """The method without Kedro's wrapping, which would report an error twice."""
    return getattr(method, "__wrapped__", method.__func__)


class JSONDataset(_Sealed, json.JSONDataset):
    """``json.JSONDataset``, whole and sealed."""


class ParquetDataset(_Sealed, pandas.ParquetDataset):
    """``pandas.ParquetDataset``, whole and sealed, with a checksum in every page."""

    DEFAULT_SAVE_ARGS: ClassVar[dict[str, Any]] = {"write_page_checksum": True}


class TextDataset(_Sealed, text.TextDataset):
    """``text.TextDataset``, whole and sealed."""


class PlotlyDataset(_Sealed, plotly.JSONDataset):
    """``plotly.JSONDataset``, a figure, whole and sealed."""
