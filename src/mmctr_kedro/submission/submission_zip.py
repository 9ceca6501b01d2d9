"""The zips of a submission: the same bytes for the same contents, and bounded when read."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.submission.submitted_file import MARK, MEMBER, MOST_BYTES


def pack(members: dict[str, bytes]) -> bytes:
    """A zip of these members in their order, without clock, umask or system in its bytes."""
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name)  # of 1980, the earliest time a zip can hold
            entry.create_system = 3  # Unix, on every system
            entry.external_attr = 0o100644 << 16  # a plain file, rw-r--r--
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=6)
    return archived.getvalue()


def unpack(file: Path | io.BytesIO, most: int) -> dict[str, bytes]:
    """The members of a zip by name.

    Raises:
        MmctrError: It is no zip, a damaged one, or one whose members claim more than ``most`` bytes together.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if (size := sum(member.file_size for member in members)) <= most:
                return {member.filename: archive.read(member) for member in members}
    except FileNotFoundError:
        raise
    except Exception as error:  # on damaged bytes zipfile and its decompressors raise nearly anything
        raise MmctrError(f"it cannot be read as a zip ({type(error).__name__}: {error})") from error
    raise MmctrError(f"its members claim {size:,} bytes, more than {most:,}")


def submission_bytes(submission: Submission) -> bytes:
    """A zip with ``prediction.csv`` and, where it may not be sent in, a second member that says why.

    Floats are written with the fewest digits that bring the same float32 back, so no two scores swap or tie.
    """
    text = io.BytesIO()
    # Arrow quotes names in a header; the challenge's header is bare.
    text.write((",".join(submission.table.columns) + "\n").encode())
    table = pa.Table.from_pandas(submission.table, preserve_index=False)
    csv.write_csv(table, text, csv.WriteOptions(include_header=False))
    members = {MEMBER: text.getvalue()}
    if submission.not_submittable:
        members[MARK] = "\n".join([*submission.not_submittable, ""]).encode()
    return pack(members)


def read_submission(file: Path | io.BytesIO) -> Submission:
    """A zip that this project wrote: ``ID`` int64, every other column float32."""
    members = unpack(file, MOST_BYTES)
    text = members[MEMBER]
    header = text.split(b"\n", 1)[0].decode().strip().split(",")
    types = {name: pa.int64() if name == "ID" else pa.float32() for name in header}
    table = csv.read_csv(io.BytesIO(text), convert_options=csv.ConvertOptions(column_types=types))
    return Submission(table.to_pandas(), tuple(members.get(MARK, b"").decode().splitlines()))
