"""Reading a submission from anybody: a csv or a zip of any shape, as text, with what is odd about it.

Nothing in the file is trusted: sizes are those of the bytes that were read, names are compared and never opened, and
whatever cannot be read becomes a problem of the file.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.parquet import open_parquet, read_columns

MEMBER = "prediction.csv"
MARK = "NOT_SUBMITTABLE.txt"  # a member that says why a zip must not be handed in
MOST_BYTES = 256 << 20  # of a file and of what is unpacked; the challenge's 379,142 rows are some 15 MB
MOST_MEMBERS = 1_000
LONGEST_LINE = 10_000  # bytes
SHOWN = 5


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
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    lines: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


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
    if len(data) > MOST_BYTES:
        found.problems.append(f"the file is larger than {MOST_BYTES:,} bytes")
    elif data.startswith(b"PK") or path.suffix.lower() == ".zip":
        found.facts["container"] = "zip"
        if (content := _unpacked(data, found)) is not None:
            _read_text(content, found)
    else:
        _read_text(data, found)
    return found


def read_test_ids(path: Path) -> np.ndarray:
    """The column ``ID`` of the challenge's test.parquet: ``[R]`` int64, ascending.

    Raises:
        MmctrError: There is no such file, it is no parquet, or its IDs are not ascending whole numbers.
    """
    advice = "Name the test file: --params check_submission.test=path/to/test.parquet"
    if not path.is_file():
        raise MmctrError(f"{path} is missing: expected the challenge's test.parquet. {advice}")
    try:
        names = open_parquet(path).schema_arrow.names
        column = read_columns(path, ["ID"])["ID"] if names.count("ID") == 1 else None
    except MmctrError as error:
        raise MmctrError(f"{error} {advice}") from error
    if column is None:
        raise MmctrError(
            f"{path} has {names.count('ID')} columns 'ID', expected one; {_some(names)} are there. {advice}"
        )
    if not pa.types.is_integer(column.type) or column.null_count or not len(column):
        found = f"{len(column)} values of {column.type}, {column.null_count} of them null"
        raise MmctrError(f"{path}, column 'ID': expected whole numbers, found {found}. {advice}")
    ids = column.to_numpy().astype(np.int64)
    if len(falls := np.flatnonzero(ids[1:] <= ids[:-1])):
        row = falls[0] + 1
        raise MmctrError(f"{path}, column 'ID': expected ascending IDs, row {row} has {ids[row]} after {ids[row - 1]}")
    return ids


# --- zip -------------------------------------------------------------------------------------------------


def _unpacked(data: bytes, found: Submitted) -> bytes | None:
    """The bytes of the member that holds the predictions, if one does."""
    if data.count(b"PK\1\2") > MOST_MEMBERS:  # before a directory of millions becomes objects
        found.problems.append(f"the zip has more than {MOST_MEMBERS:,} members; expected {MEMBER} alone")
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            chosen = _chosen(members, found)
            if marks := [member for member in members if member.filename == MARK]:
                text = _read_member(archive, marks[0], 10_000).decode("utf-8", "replace").strip()
                found.facts["not_submittable"] = text
                found.problems.append(f"the zip is marked as not submittable: {text or 'no reason is given'}")
            content = None if chosen is None else _read_member(archive, chosen, MOST_BYTES)
    except Exception as error:  # on damaged bytes zipfile and its decompressors raise nearly anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        found.problems.append(f"the zip cannot be read ({reason})")
        return None
    if content is not None and len(content) > MOST_BYTES:
        found.problems.append(f"{MEMBER} unpacks to more than {MOST_BYTES:,} bytes")
        return None
    return content


def _chosen(members: list[zipfile.ZipInfo], found: Submitted) -> zipfile.ZipInfo | None:
    """The member to read: the last in the right place, as zipfile has it, or one of that name in a folder."""
    names = [member.filename for member in members]
    found.facts["members"] = names[: 4 * SHOWN]
    exact = [member for member in members if member.filename == MEMBER]
    nested = [member for member in members if member.filename.replace("\\", "/").split("/")[-1].lower() == MEMBER]
    chosen = next(reversed(exact or nested), None)
    extra = [name for name in names if name not in (MEMBER, MARK) and (chosen is None or name != chosen.filename)]
    if chosen is None:
        found.problems.append(f"the zip holds {_some(names) or 'nothing'}; expected {MEMBER}")
    elif not exact:
        found.problems.append(f"the zip holds {chosen.filename!r}; expected {MEMBER}, in no folder")
    if len(exact) > 1:
        found.problems.append(f"the zip holds {MEMBER} {len(exact)} times")
    if chosen is not None and extra:
        found.problems.append(f"beside {chosen.filename!r} the zip holds {_some(extra)}; expected it alone")
    return chosen


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """At most ``most + 1`` bytes, whatever the directory says; the checksum is that of a whole member."""
    with archive.open(member) as stream:
        return stream.read(most + 1)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more


# --- csv -------------------------------------------------------------------------------------------------


def _read_text(data: bytes, found: Submitted) -> None:
    """Header, rows and what is odd about the text."""
    if data.startswith(b"\xef\xbb\xbf"):
        found.problems.append("line 1: a byte order mark stands before the header")
        data = data[3:]
    crlf, lines = data.count(b"\r\n"), data.count(b"\n")
    lone = data.count(b"\r") - crlf
    found.facts |= {"line_ends": _line_ends(crlf, lines, lone), "ends_with_line_end": data.endswith((b"\n", b"\r"))}
    if crlf or lone:
        found.warnings.append(f"lines end in {found.facts['line_ends']}; LF is usual")
    if data and not found.facts["ends_with_line_end"]:
        found.warnings.append("the last line has no end")
    if not data.strip():
        found.problems.append("there is no text in it")
        return
    if not _is_sound(data, found):
        return
    first, _, rest = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").partition(b"\n")
    found.header = first.decode("utf-8", "replace")
    _read_rows(rest, found.header.count(",") + 1, found)


def _line_ends(crlf: int, lines: int, lone: int) -> str:
    used = [name for name, count in (("LF", lines - crlf), ("CRLF", crlf), ("CR", lone)) if count]
    return " and ".join(used) or "none"


def _is_sound(data: bytes, found: Submitted) -> bool:
    """Whether this is text of lines that can be a table."""
    if (at := data.find(b"\0")) >= 0:
        found.problems.append(f"line {_line(data, at)}: a NUL byte; expected text")
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        found.problems.append(f"line {_line(data, error.start)}: a byte that is no UTF-8 ({data[error.start]:#04x})")
        return False
    ends = np.flatnonzero(np.isin(np.frombuffer(data, np.uint8), [10, 13]))
    lengths = np.diff(np.concatenate([[-1], ends, [len(data)]])) - 1
    if len(long := np.flatnonzero(lengths > LONGEST_LINE)):
        found.problems.append(f"line {long[0] + 1}: {lengths[long[0]]:,} bytes; expected {LONGEST_LINE:,} at most")
        return False
    return True


def _line(data: bytes, at: int) -> int:
    return 1 + data.count(b"\n", 0, at)


def _read_rows(text: bytes, width: int, found: Submitted) -> None:
    wrong: list[tuple[int, int, str]] = []

    def refuse(row: csv.InvalidRow) -> str:
        wrong.append((row.number + 1, row.actual_columns, row.text))
        return "skip"

    names = [str(column) for column in range(width)]
    if text:
        table = csv.read_csv(
            io.BytesIO(text),
            # One block, so that rows are numbered; names given, so that none is read from the rows.
            csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 1),
            # No quotes: a judge may read them otherwise, and numbers need none.
            csv.ParseOptions(quote_char=False, ignore_empty_lines=False, invalid_row_handler=refuse),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    else:
        table = pa.table({name: pa.array([], pa.string()) for name in names})
    for line, count, row in wrong[:SHOWN]:
        found.problems.append(f"line {line}: {count} values, the header has {width}: {row[:60]!r}")
    if len(wrong) > SHOWN:
        found.problems.append(f"... and {len(wrong) - SHOWN:,} more lines with another number of values")
    found.table = table.to_pandas()
    rows = np.arange(2, len(found.table) + len(wrong) + 2)
    found.lines = np.setdiff1d(rows, np.array([line for line, _, _ in wrong], np.int64))
