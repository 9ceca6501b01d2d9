"""The zips of a submission: the same bytes for the same contents, and bounded when read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.common.words import did_you_mean
from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS, Submission
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.submission.submitted_file import MARK, MEMBER, MOST_BYTES
from mmctr_kedro.submission.table_checks import check_predictions


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


def write_submission(file: Path | str, clicks_test: Clicks, scores: Mapping[str, np.ndarray]) -> None:
    """Write the zip that the challenge takes, with ``prediction.csv``; equal scores give equal bytes.

    Whether scores were come by as the rules of a task ask is not looked at: ``kedro run`` judges that.

    Args:
        file: The zip to write, whole or not at all; what is there is replaced.
        clicks_test: The R test rows, whose ``row_id`` is the challenge's ID.
        scores: By task (``task1``, ``task2``, ``task1_and_2``), ``[R]`` float32 in [0, 1], in the rows' order.

    Raises:
        MmctrError: No such task, or scores that the challenge would refuse or that rank nothing.
    """
    import pandas as pd

    for task, of_task in scores.items():
        if task not in SUBMISSION_COLUMNS:
            known = f"{did_you_mean(task, SUBMISSION_COLUMNS)} Known: {', '.join(SUBMISSION_COLUMNS)}."
            raise MmctrError(f"There is no task '{task}'.{known}")
        if len(of_task) != len(clicks_test):
            raise MmctrError(f"{task} has {len(of_task)} scores; expected {len(clicks_test)}, one for each test row.")
    columns = {
        name: np.asarray(scores[task], np.float32) for task, name in SUBMISSION_COLUMNS.items() if task in scores
    }
    table = pd.DataFrame({"ID": np.asarray(clicks_test.row_id, np.int64), **columns})
    check_predictions(table, clicks_test.row_id, file=str(file), remedy="Predict the test rows again, in their order.")
    with atomic_write(Path(file)) as temporary:
        temporary.write_bytes(submission_bytes(Submission(table)))
