"""Datasets that lie on the local disk whole and sealed: the base of all, tables, and what kedro-datasets reads."""

from __future__ import annotations

from abc import abstractmethod
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
from kedro.io import AbstractDataset
from kedro.utils import load_obj
from kedro_datasets._typing import JSONPreview, PlotlyPreview, TablePreview
from pyarrow import parquet

from mmctr_kedro.common.seals import check_seal, sealed_write
from mmctr_kedro.data.parquet import Parts, read_parts
from mmctr_kedro.datasets.previews import (
    SHOWN,
    files_table,
    of_what_is_there,
    page_table,
    parquet_table,
    records_table,
    tree,
)

T = TypeVar("T")
_UTF8 = {"open_args_save": {"mode": "w", "encoding": "utf-8", "newline": "\n"}, "open_args_load": {"encoding": "utf-8"}}


class SealedDataset(AbstractDataset[T, T]):
    """A file or folder that appears whole or not at all, and is checked against its seal at load (``seals``).

    A subclass says how to read and write a path. Data of the same bytes leave the file alone.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    @abstractmethod
    def _read(self, path: Path) -> T:
        """What lies at ``path``."""

    @abstractmethod
    def _write(self, data: T, path: Path) -> None:
        """Write a file or a folder to ``path``, where nothing is yet."""

    def load(self) -> T:
        check_seal(self._filepath)
        return self._read(self._filepath)

    def save(self, data: T) -> None:
        with sealed_write(self._filepath) as temporary:
            self._write(data, temporary)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class ArrowTableDataset(SealedDataset[pa.Table]):
    """A ``pyarrow.Table`` as parquet, with exactly its schema: pandas turns fixed-size lists into something else."""

    def _read(self, path: Path) -> pa.Table:
        return parquet.read_table(path)

    def _write(self, data: pa.Table, path: Path) -> None:
        parquet.write_table(data, path, write_page_checksum=True)

    @of_what_is_there
    def preview(self, nrows: int = SHOWN) -> TablePreview:
        return parquet_table(self._filepath, nrows)


class PartsDataset(SealedDataset[Parts]):
    """A parquet file of any size, read and written a part at a time; takes any iterable of tables of one schema."""

    ROWS: ClassVar[int] = 1 << 16

    def _read(self, path: Path) -> Parts:
        return read_parts(path, self.ROWS)

    def _write(self, data: Parts, path: Path) -> None:
        parts = iter(data)
        first = next(parts)
        with parquet.ParquetWriter(path, first.schema, write_page_checksum=True) as writer:
            for table in chain([first], parts):
                writer.write_table(table)

    @of_what_is_there
    def preview(self, nrows: int = SHOWN) -> TablePreview:
        return parquet_table(self._filepath, nrows)


class FilesDataset(SealedDataset[dict[str, bytes]]):
    """A folder of files by name."""

    def _read(self, path: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in sorted(path.iterdir())}

    def _write(self, data: dict[str, bytes], path: Path) -> None:
        path.mkdir()
        for name, content in data.items():
            (path / name).write_bytes(content)

    @of_what_is_there
    def preview(self) -> TablePreview:
        return files_table(self._filepath)


class _LibraryDataset(SealedDataset[Any]):
    """A dataset of kedro-datasets' own behind the seal, with our defaults; takes its ``save_args`` and the like.

    The library is imported at the first load or save: plotly takes 0.2 s, and most commands draw nothing.
    """

    kind: ClassVar[str]  # the library's class
    defaults: ClassVar[dict[str, Any]]

    def __init__(
        self,
        *,
        filepath: str,
        load_args: dict[str, Any] | None = None,
        save_args: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        given = {"load_args": load_args, "save_args": save_args, "fs_args": fs_args}
        whole = {name: {**self.defaults.get(name, {}), **(values or {})} for name, values in given.items()}
        self._arguments = {name: values for name, values in whole.items() if values}  # not every class takes all

    def _at(self, path: Path) -> Any:
        return load_obj(self.kind)(filepath=str(path), **self._arguments)

    def _read(self, path: Path) -> Any:
        return self._at(path).load()

    def _write(self, data: Any, path: Path) -> None:
        self._at(path).save(data)


class JSONDataset(_LibraryDataset):
    """``json.JSONDataset``, in UTF-8; NaN and infinity are errors."""

    kind = "kedro_datasets.json.JSONDataset"
    defaults: ClassVar = {"save_args": {"indent": 1, "allow_nan": False, "ensure_ascii": False}, "fs_args": _UTF8}

    @of_what_is_there
    def preview(self) -> JSONPreview:
        return tree(self._read(self._filepath))


class RecordsDataset(JSONDataset):
    """A JSON list of records, or such lists by name, which the viewer shows as a table."""

    @of_what_is_there
    def preview(self, nrows: int = 30) -> TablePreview:
        found = self._read(self._filepath)
        if isinstance(found, dict):
            found = [{"": name, **record} for name, records in found.items() for record in records]
        return records_table(found, nrows)


class ParquetDataset(_LibraryDataset):
    """``pandas.ParquetDataset``, with a checksum in every page."""

    kind = "kedro_datasets.pandas.ParquetDataset"
    defaults: ClassVar = {"save_args": {"write_page_checksum": True}}

    @of_what_is_there
    def preview(self, nrows: int = SHOWN) -> TablePreview:
        return parquet_table(self._filepath, nrows)


class TextDataset(_LibraryDataset):
    """``text.TextDataset``, in UTF-8; the viewer shows the words of a page."""

    kind = "kedro_datasets.text.TextDataset"
    defaults: ClassVar = {"fs_args": _UTF8}

    @of_what_is_there
    def preview(self, nrows: int = 30) -> TablePreview:
        return page_table(self._read(self._filepath), nrows)


class PlotlyDataset(_LibraryDataset):
    """``plotly.JSONDataset``, a figure."""

    kind = "kedro_datasets.plotly.JSONDataset"
    defaults: ClassVar = {}

    @of_what_is_there
    def preview(self) -> PlotlyPreview:
        return self._at(self._filepath).preview()
