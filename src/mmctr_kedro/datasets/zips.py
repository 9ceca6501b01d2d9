"""The catalog's handles on a submission and on its bundle: zips, written whole and sealed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from kedro.io import AbstractDataset
from kedro_datasets._typing import JSONPreview, TablePreview

from mmctr_kedro.common.seals import check_seal, sealed_write
from mmctr_kedro.submission.bundling import bundle_bytes, read_bundle
from mmctr_kedro.submission.zip_file import read_submission, submission_bytes


class _SealedZip(AbstractDataset[Any, Any]):
    """A file that one function makes of an object, and another an object of."""

    read: ClassVar[Any]  # takes the path
    to_bytes: ClassVar[Any]

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Any:
        check_seal(self._filepath)
        return self.read(self._filepath)

    def save(self, data: Any) -> None:
        content = self.to_bytes(data)
        with sealed_write(self._filepath) as temporary:
            temporary.write_bytes(content)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class SubmissionZipDataset(_SealedZip):
    """A ``Submission`` as the challenge's zip. Its contents are checked by the node that makes the table, not here."""

    read, to_bytes = staticmethod(read_submission), staticmethod(submission_bytes)

    def preview(self, nrows: int = 8) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        return TablePreview(read_submission(self._filepath).table.head(nrows).to_dict(orient="split"))


class BundleDataset(_SealedZip):
    """A ``Bundle`` as a zip, the same bytes for the same contents."""

    read, to_bytes = staticmethod(read_bundle), staticmethod(bundle_bytes)

    def preview(self) -> JSONPreview:
        """The manifest, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load().manifest))
