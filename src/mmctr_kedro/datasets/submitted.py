"""The catalog's handles on a submission from anybody and on the test file it answers: both read only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from kedro.io import AbstractDataset, DatasetError

from mmctr_kedro.submission.submitted_file import Submitted, read_submitted, read_test_ids


class SubmittedDataset(AbstractDataset[Submitted, Submitted]):
    """Loads any csv or zip as ``Submitted``: what is wrong with it is told there, not raised."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Submitted:
        return read_submitted(self._filepath)

    def save(self, data: Submitted) -> NoReturn:
        raise DatasetError(f"{self._filepath} is somebody's file and is only read. Pipeline submission writes ours.")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class TestIdsDataset(AbstractDataset[np.ndarray, np.ndarray]):
    """Loads the IDs of a test.parquet, ``[R]`` int64, ascending."""

    __test__ = False  # no test of pytest's

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> np.ndarray:
        return read_test_ids(self._filepath)

    def save(self, data: np.ndarray) -> NoReturn:
        raise DatasetError(f"{self._filepath} is a raw file and is only read.")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
