"""Opening parquet files that somebody else wrote, with memory bounded.

A parquet file says in its footer how many rows, values and bytes it holds, and pyarrow allocates by that: a kilobyte
can claim, or with run-length codes even hold, more than any machine has. So before anything is decoded, the footer's
counts are compared with the file's size and the machine's memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kedro.common.errors import MmctrError

# What a file may decode to: this much, and so many times its own size. Histories that are all padding shrink by some
# hundreds (run lengths, then zstd), whole files of the challenge's kind by less than 50.
FLOOR, MOST_EXPANSION = 64 << 20, 1000
_FOOTER_STRINGS = 16 << 20  # bytes; the challenge's footers are some kilobytes, and a footer's objects far larger
_FOOTER_ENTRIES = 200_000  # of all lists in a footer
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 8}


@contextmanager
def damage_named(file: Path | str) -> Iterator[None]:
    """Whatever pyarrow raises of a damaged file as an error that names it."""
    try:
        yield
    except MmctrError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise MmctrError(f"{file}: cannot be read as parquet; if it is truncated, copy it again ({reason})") from error


def open_parquet(path: Path, read_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    """A parquet file of bearable size; checksums, where its writer made any, are verified on reading.

    Args:
        read_dictionary: Columns of text to be had as dictionary arrays. A page of a few bytes can repeat one long text
            a million times: so its size is known before it is written out.

    Raises:
        MmctrError: It is no parquet file, or its counts are absurd.
    """
    with damage_named(path):
        parquet = pq.ParquetFile(
            path,
            read_dictionary=list(read_dictionary),
            thrift_string_size_limit=_FOOTER_STRINGS,
            thrift_container_size_limit=_FOOTER_ENTRIES,
            page_checksum_verification=True,
        )
    footer, size = parquet.metadata, path.stat().st_size
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 40
    groups = [footer.row_group(turn) for turn in range(footer.num_row_groups)]
    columns = list(enumerate(footer.schema))
    takes = [0] * len(groups)
    for turn, group in enumerate(groups):
        for place, column in columns:
            chunk, width = group.column(place), _WIDTHS.get(column.physical_type) or column.length
            takes[turn] += max(chunk.total_uncompressed_size, chunk.num_values * width)
    if (rows := sum(group.num_rows for group in groups)) != footer.num_rows or rows < 0:
        raise MmctrError(f"{path}: its footer says {footer.num_rows:,} rows, its row groups {rows:,}: copy it again.")
    most = FLOOR + MOST_EXPANSION * size
    if sum(takes) > most or max(takes, default=0) > memory:
        raise MmctrError(
            f"{path}: takes {sum(takes):,} bytes once decoded, a group up to {max(takes):,}, in a file of {size:,}. "
            f"Expected at most {most:,} in all and {memory:,}, this machine's memory, in a group."
        )
    return parquet


class Parts:
    """Tables one after another, never all in memory; asked again, it begins anew."""

    def __init__(self, begin: Callable[[], Iterable[pa.Table]]) -> None:
        self._begin = begin

    def __iter__(self) -> Iterator[pa.Table]:
        return iter(self._begin())


def read_parts(path: Path, rows: int) -> Parts:
    """A file that ``open_parquet`` takes, so many rows at a time; one table without rows where it has none."""

    def parts() -> Iterator[pa.Table]:
        parquet = open_parquet(path)
        with damage_named(path):
            for batch in parquet.iter_batches(rows):
                yield pa.Table.from_batches([batch])
            if parquet.metadata.num_rows == 0:
                yield parquet.schema_arrow.empty_table()

    return Parts(parts)


def read_columns(path: Path, columns: list[str]) -> pa.Table:
    """Whole columns of a file that ``open_parquet`` takes, with as many rows as it says."""
    parquet = open_parquet(path)
    with damage_named(path):
        table = parquet.read(columns=columns)
    if len(table) != parquet.metadata.num_rows:
        raise MmctrError(f"{path}: says it has {parquet.metadata.num_rows:,} rows and has {len(table):,}.")
    return table
