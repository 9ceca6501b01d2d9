"""The catalog's handles on a submission and on its bundle: zips."""

from __future__ import annotations

import json
from pathlib import Path

from kedro_datasets._typing import JSONPreview, TablePreview

from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.datasets.sealed import SealedDataset
from mmctr_kedro.submission.bundle import Bundle, bundle_bytes, read_bundle
from mmctr_kedro.submission.submission_zip import read_submission, submission_bytes


class SubmissionZipDataset(SealedDataset[Submission]):
    """A ``Submission`` as the challenge's zip. Its contents are checked by the node that makes the table, not here."""

    def _read(self, path: Path) -> Submission:
        return read_submission(path)

    def _write(self, data: Submission, path: Path) -> None:
        path.write_bytes(submission_bytes(data))

    def preview(self, nrows: int = 8) -> TablePreview:
        """The first rows, for Kedro-Viz."""
        return TablePreview(read_submission(self._filepath).table.head(nrows).to_dict(orient="split"))


class BundleDataset(SealedDataset[Bundle]):
    """A ``Bundle`` as a zip, the same bytes for the same contents."""

    def _read(self, path: Path) -> Bundle:
        return read_bundle(path)

    def _write(self, data: Bundle, path: Path) -> None:
        path.write_bytes(bundle_bytes(data))

    def preview(self) -> JSONPreview:
        """The manifest, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load().manifest))
