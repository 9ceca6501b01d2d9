"""Opening parquet files that somebody else wrote, with memory bounded by what was checked and not by what is claimed.

A parquet file says of itself how many rows, values and bytes it holds, in its footer and again before every page, and
pyarrow allocates by that: a kilobyte can claim, or with run-length codes even hold, more than any machine has. So
before anything is decoded, the counts in the footer are compared with each other and with those of all pages, and what
decoding will take is compared with the file's size and the machine's memory.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kedro.common.errors import MmctrError

# What a file may decode to: this much, and so many times its own size. Histories that are all padding shrink by some
# hundreds (run lengths, then zstd), whole files of the challenge's kind by less than 50.
FLOOR, MOST_EXPANSION = 64 << 20, 1000
_FOOTER_STRINGS = 16 << 20  # bytes; the challenge's footers are some kilobytes, and a footer's objects far larger
_FOOTER_ENTRIES = 200_000  # of all lists in a footer
_PAGE_HEADERS = (1 << 12, 1 << 20)  # bytes: what nearly all take, and, with the statistics of long texts, the longest
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 8}


def open_parquet(path: Path, read_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    """A parquet file whose claims hold; checksums, where its writer made any, are verified on reading.

    Args:
        read_dictionary: Columns of text to be had as dictionary arrays. A page of a few bytes can repeat one long text
            a million times: so its size is known before it is written out.

    Raises:
        MmctrError: It is no parquet file, or its counts contradict each other or are absurd.
    """
    try:
        parquet = pq.ParquetFile(
            path,
            read_dictionary=list(read_dictionary),
            thrift_string_size_limit=_FOOTER_STRINGS,
            thrift_container_size_limit=_FOOTER_ENTRIES,
            page_checksum_verification=True,
        )
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MmctrError(f"{path}: cannot be read as parquet; if it is truncated, copy it again ({reason})") from error
    if problem := _problem(path, parquet.metadata):
        raise MmctrError(f"{path}: cannot be read as parquet: {problem}. If it is damaged, copy it again.")
    return parquet


def read_columns(path: Path, columns: list[str]) -> pa.Table:
    """Whole columns of a file that ``open_parquet`` takes, with as many rows as it says."""
    parquet = open_parquet(path)
    try:
        table = parquet.read(columns=columns)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise MmctrError(f"{path}: cannot be read as parquet ({' '.join(str(error).split())[:200]})") from error
    if len(table) != parquet.metadata.num_rows:
        raise MmctrError(f"{path}: says it has {parquet.metadata.num_rows:,} rows and has {len(table):,}.")
    return table


def _problem(path: Path, footer: pq.FileMetaData) -> str | None:
    """What is wrong with the counts of a file, in words; None where they hold."""
    size = path.stat().st_size
    groups = [footer.row_group(turn) for turn in range(footer.num_row_groups)]
    rows = [group.num_rows for group in groups]
    if min(rows, default=0) < 0 or footer.num_rows != sum(rows):
        return f"its footer says {footer.num_rows:,} rows, its row groups have {sum(rows):,}"
    if not groups:
        return None
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 40
    most, total = FLOOR + MOST_EXPANSION * size, 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            chunks = _chunks(content)
        except (LookupError, TypeError, ValueError, RecursionError):
            return "its footer cannot be followed"
        if [len(own) for own in chunks] != [len(footer.schema)] * len(groups):
            return f"row groups have other columns than the {len(footer.schema)} of its schema"
        for turn, group in enumerate(groups):
            needed = 0
            for place, chunk in enumerate(chunks[turn]):
                column = footer.schema.column(place)
                what = f"column '{chunk.path_in_schema}' of row group {turn}"
                flat = column.max_repetition_level == 0
                if chunk.num_values != group.num_rows if flat else chunk.num_values < group.num_rows:
                    return f"{what} says it has {chunk.num_values:,} values in {group.num_rows:,} rows"
                width = _WIDTHS.get(column.physical_type) or max(column.length, 0)
                # The claim first: pages are walked only of what would be bearable.
                if (claimed := chunk.num_values * width) > most:
                    return f"{what} says it has {claimed:,} bytes, in a file of {size:,}"
                try:  # a row group without rows need not have pages
                    values, unpacked = _pages(content, chunk) if chunk.num_values else (0, 0)
                except (LookupError, TypeError, ValueError, RecursionError):
                    return f"{what} has pages that cannot be followed"
                if values != chunk.num_values:
                    return f"{what} says it has {chunk.num_values:,} values, its pages say {values:,}"
                needed += claimed + unpacked
            total += needed
            if total > most or needed > memory:
                return (
                    f"row group {turn} takes {needed:,} bytes once decoded, and all up to it {total:,}, of a file of "
                    f"{size:,}; expected at most {most:,} in all and {memory:,}, this machine's memory, in one"
                )
    return None


class _Chunk(NamedTuple):
    """One column of one row group by the footer, in pyarrow's names.

    Read here, because pyarrow 26 ends the process where it is asked for one with a statistic of the wrong length.
    """

    path_in_schema: str
    num_values: int
    total_compressed_size: int
    data_page_offset: int
    dictionary_page_offset: int | None


def _chunks(content: mmap.mmap) -> list[list[_Chunk]]:
    """Every column of every row group."""
    end = len(content) - 8
    footer, _ = _struct(content[max(0, end - int.from_bytes(content[end : end + 4], "little")) : end], 0)
    return [[_chunk(column[3]) for column in group[1]] for group in footer[4]]


def _chunk(fields: dict[int, Any]) -> _Chunk:
    path = b".".join(fields[3]).decode("utf-8", "replace")
    return _Chunk(path, fields[5], fields[7], fields[9], fields.get(11))


def _pages(content: mmap.mmap, chunk: _Chunk) -> tuple[int, int]:
    """Values and uncompressed bytes of a column chunk by what its pages say, whose headers alone are read."""
    at = chunk.data_page_offset
    if (dictionary := chunk.dictionary_page_offset) is not None and 0 < dictionary < at:
        at = dictionary
    end = at + chunk.total_compressed_size
    if not 0 <= at <= end <= len(content):
        raise ValueError("outside the file")
    values = unpacked = 0
    while at < end:
        try:
            header, length = _struct(content[at : min(at + _PAGE_HEADERS[0], end)], 0)
        except IndexError:
            header, length = _struct(content[at : min(at + _PAGE_HEADERS[1], end)], 0)
        packed = header[3]
        if packed < 0 or header[2] < 0:
            raise ValueError("a negative size")
        at += length + packed
        unpacked += header[2]
        for kind in (5, 8):  # data pages of either version; a dictionary's values are not the column's
            values += header[kind][1] if kind in header else 0
    return values, unpacked


# --- Thrift's compact protocol, as far as footers and page headers need it ----------------------------------


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a struct by number, and where it ends."""
    fields: dict[int, Any] = {}
    last = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            last += head >> 4
        else:
            last, at = _integer(data, at)
        fields[last], at = _value(data, at, head & 15)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _integer(data, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _varint(data, at)
        return data[at : at + length], at + length
    if kind == 9:
        return _list(data, at)
    if kind == 12:
        return _struct(data, at)
    raise ValueError(f"a field of kind {kind}")  # sets and maps: parquet has none


def _list(data: bytes, at: int) -> tuple[list[Any], int]:
    size, kind, at = data[at] >> 4, data[at] & 15, at + 1
    if size == 15:
        size, at = _varint(data, at)
    if size > len(data) - at:  # each takes a byte at least
        raise ValueError(f"a list of {size}")
    if kind in (1, 2):
        return list(data[at : at + size]), at + size
    values = []
    for _ in range(size):
        value, at = _value(data, at, kind)
        values.append(value)
    return values, at


def _integer(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while shift < 70:
        byte = data[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
    raise ValueError("an endless number")
