"""The challenge's submission file: one ``prediction.csv`` in a zip, the same bytes for the same table."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import csv

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.submission.submitted_file import MARK, MEMBER

LARGEST = 256 << 20  # bytes; the challenge's 379,142 rows of three tasks take 15 MB
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold: no clock in the bytes
_PERMISSIONS = 0o100644 << 16  # a plain file, rw-r--r--, whatever the umask


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
