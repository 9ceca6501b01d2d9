"""The challenge's submission file: one ``prediction.csv`` in a zip, the same bytes for the same table."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview
from pyarrow import csv

from mmctr_kedro.challenge import Submission
from mmctr_kedro.errors import MmctrError
from mmctr_kedro.seals import check_seal, sealed_write
from mmctr_kedro.submitted import MARK, MEMBER

LARGEST = 256 << 20  # bytes; the challenge's 379,142 rows of three tasks take 15 MB
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: no clock in the bytes
_PERMISSIONS = 0o100644 << 16  # a plain file, rw-r--r--, whatever the umask


class SubmissionZipDataset(AbstractDataset[Submission, Submission]):
    """A ``Submission`` as a zip with ``prediction.csv`` and, where it may not be sent in, a second member saying why.

    Floats are written with the fewest digits that bring the same float32 back, so no two scores swap or tie.
    The contents are checked by the node that makes the table, not here.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Submission:
        """Read the csv back: ``ID`` int64, every other column float32."""
        check_seal(self._filepath)
        return read_submission(self._filepath)

    def save(self, data: Submission) -> None:
        """Write the table in its row and column order, replacing the file in one step."""
        content = submission_bytes(data)
        with sealed_write(self._filepath) as temporary:
            temporary.write_bytes(content)

    def preview(self, nrows: int = 8) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        return TablePreview(read_submission(self._filepath).table.head(nrows).to_dict(orient="split"))

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def submission_bytes(submission: Submission) -> bytes:
    """The zip's bytes, equal for equal submissions."""
    text, archived = io.BytesIO(), io.BytesIO()
    # Arrow quotes names in a header; the challenge's header is bare.
    text.write((",".join(submission.table.columns) + "\n").encode())
    table = pa.Table.from_pandas(submission.table, preserve_index=False)
    csv.write_csv(table, text, csv.WriteOptions(include_header=False))
    with zipfile.ZipFile(archived, "w") as archive:
        archive.writestr(zip_entry(MEMBER), text.getvalue(), compresslevel=6)
        if submission.not_submittable:
            archive.writestr(zip_entry(MARK), "\n".join([*submission.not_submittable, ""]))
    return archived.getvalue()


def read_submission(file: Path | IO[bytes]) -> Submission:
    """A zip that this project wrote, from a path or its bytes."""
    with zipfile.ZipFile(file) as archive:
        if (size := archive.getinfo(MEMBER).file_size) > LARGEST:
            raise MmctrError(f"{MEMBER} claims {size:,} bytes, more than {LARGEST:,}: it is no submission.")
        text = archive.read(MEMBER)
        marks = archive.read(MARK).decode().splitlines() if MARK in archive.namelist() else []
    header = text.split(b"\n", 1)[0].decode().strip().split(",")
    types = {name: pa.int64() if name == "ID" else pa.float32() for name in header}
    table = csv.read_csv(io.BytesIO(text), convert_options=csv.ConvertOptions(column_types=types))
    return Submission(table.to_pandas(), tuple(marks))


def zip_entry(name: str) -> zipfile.ZipInfo:
    """A member without clock, umask or system in its bytes."""
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.create_system = 3  # Unix, on every system
    entry.external_attr = _PERMISSIONS
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
