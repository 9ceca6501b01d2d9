"""The catalog's handle on a submission zip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import TablePreview

from mmctr_kedro.common.seals import check_seal, sealed_write
from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.submission.zip_file import read_submission, submission_bytes


class SubmissionZipDataset(AbstractDataset[Submission, Submission]):
    """A ``Submission`` as a zip with ``prediction.csv`` and, where it may not be sent in, a second member saying why.

    Floats are written with the fewest digits that bring the same float32 back, so no two scores swap or tie.
    The contents are checked by the node that makes the table, not here.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Submission:
        """Read the csv back: ``ID`` int64, every other column float32."""
        check_seal(self._filepath)
        return read_submission(self._filepath)

    def save(self, data: Submission) -> None:
        """Write the table in its row and column order, replacing the file in one step."""
        content = submission_bytes(data)
        with sealed_write(self._filepath) as temporary:
            temporary.write_bytes(content)

    def preview(self, nrows: int = 8) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        return TablePreview(read_submission(self._filepath).table.head(nrows).to_dict(orient="split"))

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
