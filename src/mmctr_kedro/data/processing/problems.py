"""Collecting every problem of every file before anything is reported."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mmctr_kedro.common.errors import InvalidDataError, MmctrError
from mmctr_kedro.common.words import some
from mmctr_kedro.data.parquet import damage_named

EXAMPLES = 5


class Problems:
    """The problems found so far; one kind of problem in one column is one entry with up to five examples."""

    def __init__(self) -> None:
        self._examples: dict[str, dict[str, list[str]]] = defaultdict(dict)  # by file and problem
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, file: str, text: str) -> None:
        """A problem of a file as a whole."""
        self._examples[file][f": {text}"] = []

    def add_rows(
        self, file: str, column: str, expected: str, rows: np.ndarray, values: np.ndarray | list | None = None
    ) -> None:
        """Rows (numbers in the file, from 0) of a column whose values are not what was expected.

        ``values`` belong to ``rows``; None means that they are null.
        """
        if not len(rows):
            return
        kind = f", column '{column}': expected {expected}; found "
        examples = self._examples[file].setdefault(kind, [])
        self._counts[file, kind] += len(rows)
        for place, row in enumerate(rows[: EXAMPLES - len(examples)].tolist()):
            value = "null" if values is None else values[place]
            examples.append(f"{f'{value:g}' if isinstance(value, float | np.floating) else value} in row {row}")

    @contextmanager
    def reading(self, file: str) -> Iterator[None]:
        """Turn whatever keeps a file from being read into a problem of that file."""
        try:
            with damage_named(file):
                yield
        except MmctrError as error:  # it may name the file by its whole path
            self.add(file, str(error).split(f"{file}: ", 1)[-1])

    def __contains__(self, file: str) -> bool:
        return file in self._examples

    def raise_if_any(self, folder: Path) -> None:
        """Report everything found, file by file, if anything was."""
        if self._examples:
            raise InvalidDataError(
                [
                    f"{file}{kind}{some(examples, EXAMPLES, self._counts[file, kind])}"
                    for file, found in self._examples.items()
                    for kind, examples in found.items()
                ],
                f"Rows are counted from 0. Mend or replace the files in {folder}, "
                "then run again, in the same --env: kedro run --pipeline data_processing",
            )
