"""The challenge's submission file: one ``prediction.csv`` in a zip, the same bytes for the same table."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview
from pyarrow import csv

from mmctr_kedro.seals import check_seal, sealed_write

MEMBER = "prediction.csv"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: no clock in the bytes
_PERMISSIONS = 0o100644 << 16  # a plain file, rw-r--r--, whatever the umask


class SubmissionZipDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A table ``ID`` (int64) and one float32 column per task, as a zip with ``prediction.csv``.

    Floats are written with the fewest digits that bring the same float32 back, so no two scores swap or tie.
    The contents are checked by the node that makes the table, not here.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read the csv back: ``ID`` int64, every other column float32."""
        check_seal(self._filepath)
        return self._read()

    def _read(self) -> pd.DataFrame:
        with zipfile.ZipFile(self._filepath) as archive:
            text = archive.read(MEMBER)
        header = text.split(b"\n", 1)[0].decode().strip().split(",")
        types = {name: pa.int64() if name == "ID" else pa.float32() for name in header}
        table = csv.read_csv(io.BytesIO(text), convert_options=csv.ConvertOptions(column_types=types))
        return table.to_pandas()

    def save(self, data: pd.DataFrame) -> None:
        """Write the table in its row and column order, replacing the file in one step."""
        buffer = io.BytesIO()
        # Arrow quotes names in a header; the challenge's header is bare.
        buffer.write((",".join(data.columns) + "\n").encode())
        table = pa.Table.from_pandas(data, preserve_index=False)
        csv.write_csv(table, buffer, csv.WriteOptions(include_header=False))
        entry = zipfile.ZipInfo(MEMBER, date_time=_EPOCH)
        entry.create_system = 3  # Unix, on every system
        entry.external_attr = _PERMISSIONS
        entry.compress_type = zipfile.ZIP_DEFLATED
        with sealed_write(self._filepath) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr(entry, buffer.getvalue(), compresslevel=6)

    def preview(self, nrows: int = 8) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        return TablePreview(self._read().head(nrows).to_dict(orient="split"))

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
