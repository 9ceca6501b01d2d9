"""Collecting every problem of every file before anything is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from mmctr_kedro.common.errors import InvalidDataError, MmctrError

EXAMPLES = 5


@dataclass
class _Finding:
    """One kind of problem in one column: how often, and the first few places."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class Problems:
    """The problems found so far; one kind of problem in one column is one entry with up to five examples."""

    def __init__(self) -> None:
        self._plain: dict[str, list[str]] = {}
        self._findings: dict[str, dict[tuple[str, str], _Finding]] = {}

    def add(self, file: str, text: str) -> None:
        """A problem of a file as a whole."""
        self._plain.setdefault(file, []).append(text)

    def add_rows(
        self, file: str, column: str, expected: str, rows: np.ndarray, values: np.ndarray | list | None = None
    ) -> None:
        """Rows (numbers in the file, from 0) of a column whose values are not what was expected.

        ``values`` belong to ``rows``; None means that they are null.
        """
        if not len(rows):
            return
        finding = self._findings.setdefault(file, {}).setdefault((column, expected), _Finding())
        finding.count += len(rows)
        room = EXAMPLES - len(finding.examples)
        for place, row in enumerate(np.asarray(rows[:room]).tolist()):
            value = "null" if values is None else _text(values[place])
            finding.examples.append(f"{value} in row {row}")

    @contextmanager
    def reading(self, file: str) -> Iterator[None]:
        """Turn whatever keeps a file from being read into a problem of that file."""
        try:
            yield
        except MmctrError as error:  # it names the file by its whole path
            self.add(file, str(error).split(f"{file}: ", 1)[-1])
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            reason = " ".join(str(error).split())[:200]
            self.add(file, f"cannot be read as parquet; if it is truncated, copy it again ({reason})")

    def in_file(self, file: str) -> bool:
        """Whether anything is wrong with this file."""
        return file in self._plain or file in self._findings

    def texts(self) -> list[str]:
        """All problems, file by file."""
        files = dict.fromkeys([*self._plain, *self._findings])
        return [text for file in files for text in self._of(file)]

    def raise_if_any(self, folder: Path) -> None:
        """Report everything found, if anything was."""
        if texts := self.texts():
            advice = (
                f"Rows are counted from 0. Mend or replace the files in {folder}, "
                "then run again, in the same --env: kedro run --pipeline data_processing"
            )
            raise InvalidDataError(texts, advice)

    def _of(self, file: str) -> Iterator[str]:
        yield from (f"{file}: {text}" for text in self._plain.get(file, []))
        for (column, expected), finding in self._findings.get(file, {}).items():
            found = ", ".join(finding.examples)
            total = f" ({finding.count} in all)" if finding.count > len(finding.examples) else ""
            yield f"{file}, column '{column}': expected {expected}; found {found}{total}"


def _text(value: object) -> str:
    """A value as a reader knows it from the file: 4, not np.int64(4) or 4.0."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not (value.is_integer() and abs(value) < 2**53):
        return f"{value:g}"
    return str(int(value)) if isinstance(value, float) else str(value)
