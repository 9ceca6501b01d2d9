"""An Arrow table as parquet, with exactly its schema: pandas turns fixed-size lists into something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from kedro.io import AbstractDataset
from pyarrow import parquet

from mmctr_kedro.common.seals import check_seal, sealed_write


class ArrowTableDataset(AbstractDataset[pa.Table, pa.Table]):
    """A sealed parquet file that loads as the ``pyarrow.Table`` it was saved from. Equal tables give equal bytes."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> pa.Table:
        """Read the whole table."""
        check_seal(self._filepath)
        return parquet.read_table(self._filepath)

    def save(self, data: pa.Table) -> None:
        """Write the table, replacing the file in one step."""
        with sealed_write(self._filepath) as temporary:
            parquet.write_table(data, temporary, write_page_checksum=True)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
