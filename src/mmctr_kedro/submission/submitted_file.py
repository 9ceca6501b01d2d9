"""Reading a submission from anybody: a csv or a zip of any shape, as text, with what is odd about it.

Nothing in the file is trusted: sizes are those of the bytes that were read, names are compared and never opened, and
whatever cannot be read becomes a problem of the file.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.words import and_more
from mmctr_kedro.data.parquet import open_parquet, read_columns

MEMBER = "prediction.csv"
MARK = "NOT_SUBMITTABLE.txt"  # a member that says why a zip must not be handed in
MOST_BYTES = 256 << 20  # of a file and of what is unpacked; the challenge's 379,142 rows are some 15 MB
MOST_MEMBERS = 1_000
LONGEST_LINE = 10_000  # bytes
SHOWN = 5
# What else is handed in, by its first bytes.
OTHERS: dict[str, bytes | tuple[bytes, ...]] = {
    "gzip": b"\x1f\x8b",
    "an archive that is no zip": (
        b"BZh",
        b"\xfd7zXZ",
        b"\x28\xb5\x2f\xfd",
        b"7z\xbc\xaf",
        b"Rar!",
        b"prediction.csv\0",
    ),
    "UTF-16": (b"\xff\xfe", b"\xfe\xff", b"I\0D\0", b"\0I\0D"),
    "parquet": b"PAR1",
    "an Excel workbook": b"\xd0\xcf\x11\xe0",
    "a web page": b"<",
}


@dataclass
class Submitted:
    """A file as it was handed in.

    Attributes:
        facts: What the file is, as JSON: bytes, container, members, line ends.
        problems: Why it would be refused, as far as reading it tells.
        warnings: What is odd and does no harm.
        header: The first line as written, without its end; None where there is no text.
        table: The rows below as strings, columns by their number; rows with too few or too many values are left out.
        lines: ``[rows]`` int64, the line of the file that each row of the table is.
    """

    facts: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    header: str | None = None
    table: pa.Table = field(default_factory=lambda: pa.table({}))
    lines: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


class _Unreadable(Exception):
    """Why nothing more can be said of a file."""


def read_submitted(path: Path) -> Submitted:
    """Read a csv or a zip with one.

    Raises:
        MmctrError: There is no such file, or it is no file.
    """
    if not path.is_file():
        raise MmctrError(
            f"{path} is {'a folder' if path.is_dir() else 'missing'}: expected a prediction.csv or a zip of one. Name "
            "the file: kedro run --pipeline check_submission --params check_submission.file=path/to/submission.zip"
        )
    found = Submitted({"file": str(path), "bytes": path.stat().st_size, "container": "csv"})
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    try:
        if len(data) > MOST_BYTES:
            raise _Unreadable(f"the file is larger than {MOST_BYTES:,} bytes")
        _refuse_others(data)
        if data.startswith(b"PK") or path.suffix.lower() == ".zip":
            found.facts["container"] = "zip"
            data = _unpacked(data, found)
        _read_text(data, found)
    except _Unreadable as why:
        found.problems.append(str(why))
    return found


def read_test_ids(path: Path) -> np.ndarray:
    """The column ``ID`` of the challenge's test.parquet: ``[R]`` int64, ascending.

    Raises:
        MmctrError: There is no such file, it is no parquet, or its IDs are not ascending whole numbers.
    """
    try:
        if not path.is_file():
            raise MmctrError(f"{path} is missing: expected the challenge's test.parquet.")
        names = open_parquet(path).schema_arrow.names
        if (columns := names.count("ID")) != 1:
            raise MmctrError(f"{path} has {columns} columns 'ID', expected one; {_some(names)} are there.")
        column = read_columns(path, ["ID"])["ID"]
        if not pa.types.is_integer(column.type) or column.null_count or not len(column):
            values = f"{len(column)} values of {column.type}, {column.null_count} of them null"
            raise MmctrError(f"{path}, column 'ID': expected whole numbers, found {values}.")
        ids = column.to_numpy().astype(np.int64)
        if len(falls := np.flatnonzero(ids[1:] <= ids[:-1])):
            fall = f"row {falls[0] + 1} has {ids[falls[0] + 1]} after {ids[falls[0]]}"
            raise MmctrError(f"{path}, column 'ID': expected ascending IDs, {fall}.")
    except MmctrError as error:
        advice = "Name the test file: --params check_submission.test=path/to/test.parquet"
        raise MmctrError(f"{error} {advice}") from error
    return ids


def _refuse_others(data: bytes) -> None:
    for name, start in OTHERS.items():
        if data.startswith(start):
            raise _Unreadable(f"this is {name}; expected a csv as UTF-8 text, or a zip of one")


def _unpacked(data: bytes, found: Submitted) -> bytes:
    """The bytes of the zip's member that holds the predictions."""
    if data.count(b"PK\1\2") > MOST_MEMBERS:  # before a directory of millions becomes objects
        raise _Unreadable(f"the zip has more than {MOST_MEMBERS:,} members; expected {MEMBER} alone")
    content, mark = b"", None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            # The one in the right place, or one of that name in a folder; of several the last, as zipfile has it.
            nested = [name for name in names if name.replace("\\", "/").split("/")[-1].lower() == MEMBER]
            chosen = MEMBER if MEMBER in names else next(reversed(nested), None)
            if chosen is not None:
                content = archive.open(chosen).read(MOST_BYTES + 1)  # whatever size the directory says
            if MARK in names:
                mark = archive.open(MARK).read(LONGEST_LINE).decode("utf-8", "replace").strip()
    except Exception as error:  # on damaged bytes zipfile and its decompressors raise nearly anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise _Unreadable(f"the zip cannot be read ({reason})") from error
    found.facts["members"] = names[: 4 * SHOWN]
    if mark is not None:
        found.facts["not_submittable"] = mark
        found.problems.append(f"the zip is marked not submittable: {mark or 'no reason is given'}")
    if chosen is None and "xl/workbook.xml" in names:
        raise _Unreadable("this is an Excel workbook; expected a csv as UTF-8 text, or a zip of one")
    if chosen is None:
        raise _Unreadable(f"the zip holds {_some(names) or 'nothing'}; expected {MEMBER}")
    if chosen != MEMBER:
        found.problems.append(f"the zip holds {chosen!r}; expected {MEMBER}, in no folder")
    if (times := names.count(MEMBER)) > 1:
        found.problems.append(f"the zip holds {MEMBER} {times} times")
    if extra := [name for name in names if name not in (MEMBER, MARK, chosen)]:
        found.problems.append(f"beside {chosen!r} the zip holds {_some(extra)}; expected it alone")
    if len(content) > MOST_BYTES:
        raise _Unreadable(f"{MEMBER} unpacks to more than {MOST_BYTES:,} bytes")
    return content


def _some(names: list[str]) -> str:
    return and_more([repr(name) for name in names], SHOWN)


def _read_text(data: bytes, found: Submitted) -> None:
    """Header, rows and what is odd about the text."""
    _refuse_others(data)
    if data.startswith(codecs.BOM_UTF8):
        found.problems.append("line 1: a byte order mark stands before the header")
        data = data.removeprefix(codecs.BOM_UTF8)
    crlf = data.count(b"\r\n")
    ends = {"LF": data.count(b"\n") - crlf, "CRLF": crlf, "CR": data.count(b"\r") - crlf}
    found.facts["line_ends"] = " and ".join(name for name, count in ends.items() if count) or "none"
    if ends["CRLF"] or ends["CR"]:
        found.warnings.append(f"lines end in {found.facts['line_ends']}; LF is usual")
    if data and not data.endswith((b"\n", b"\r")):
        found.warnings.append("the last line has no end")
    if not data.strip():
        raise _Unreadable("there is no text in it")
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    at, wrong = data.find(b"\0"), "a NUL byte; expected text"
    if at < 0 and (line := re.search(rb"(?m)^[^\n]{%d,}" % (LONGEST_LINE + 1), data)):
        at, wrong = line.start(), f"{len(line[0]):,} bytes; expected {LONGEST_LINE:,} at most"
    if at < 0:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            at, wrong = error.start, f"a byte that is no UTF-8 ({data[error.start]:#04x})"
    if at >= 0:
        raise _Unreadable(f"line {1 + data.count(10, 0, at)}: {wrong}")
    first, _, rows = data.partition(b"\n")
    found.header = first.decode("utf-8")
    _read_rows(rows, found.header.count(",") + 1, found)


def _read_rows(text: bytes, width: int, found: Submitted) -> None:
    wrong: list[tuple[int, int, str]] = []

    def refuse(row: csv.InvalidRow) -> str:
        wrong.append((row.number + 1, row.actual_columns, row.text))
        return "skip"

    types = {str(column): pa.string() for column in range(width)}
    if text:
        found.table = csv.read_csv(
            io.BytesIO(text),
            # One block, so that rows are numbered; names given, so that none is read from the rows.
            csv.ReadOptions(use_threads=False, column_names=list(types), block_size=len(text) + 1),
            # No quotes: a judge may read them otherwise, and numbers need none.
            csv.ParseOptions(quote_char=False, ignore_empty_lines=False, invalid_row_handler=refuse),
            csv.ConvertOptions(column_types=types, strings_can_be_null=False),
        )
    else:
        found.table = pa.schema(list(types.items())).empty_table()
    for line, count, row in wrong[:SHOWN]:
        found.problems.append(f"line {line}: {count} values, the header has {width}: {row[:60]!r}")
    if len(wrong) > SHOWN:
        found.problems.append(f"... and {len(wrong) - SHOWN:,} more lines with another number of values")
    rows = np.arange(2, len(found.table) + len(wrong) + 2)
    found.lines = np.setdiff1d(rows, np.array([line for line, _, _ in wrong], np.int64))
