"""The catalog's handles on a submission and on its bundle: zips."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from kedro_datasets._typing import JSONPreview, TablePreview

from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.datasets.previews import SHOWN, of_what_is_there, table, tree
from mmctr_kedro.datasets.sealed import SealedDataset
from mmctr_kedro.submission.bundle import MANIFEST, Bundle, bundle_bytes, read_bundle
from mmctr_kedro.submission.submission_zip import read_submission, submission_bytes


class SubmissionZipDataset(SealedDataset[Submission]):
    """A ``Submission`` as the challenge's zip. Its contents are checked by the node that makes the table, not here."""

    def _read(self, path: Path) -> Submission:
        return read_submission(path)

    def _write(self, data: Submission, path: Path) -> None:
        path.write_bytes(submission_bytes(data))

    @of_what_is_there
    def preview(self, nrows: int = SHOWN) -> TablePreview:
        """Why it may not be sent in, then the first rows."""
        submission = self._read(self._filepath)
        head = submission.table.head(nrows)
        reasons = [["not submittable", reason, *[""] * (head.shape[1] - 1)] for reason in submission.not_submittable]
        rows = [[row, *values] for row, values in enumerate(head.to_numpy(object).tolist())]
        return table([f"row of {len(submission.table):,}", *head.columns], [*reasons, *rows])


class BundleDataset(SealedDataset[Bundle]):
    """A ``Bundle`` as a zip, the same bytes for the same contents."""

    def _read(self, path: Path) -> Bundle:
        return read_bundle(path)

    def _write(self, data: Bundle, path: Path) -> None:
        path.write_bytes(bundle_bytes(data))

    @of_what_is_there
    def preview(self) -> JSONPreview:
        """The bytes of each member, then the manifest; reads no other member."""
        with zipfile.ZipFile(self._filepath) as archive:
            members = {member.filename: member.file_size for member in archive.infolist()}
            return tree({"bytes": members, **json.loads(archive.read(MANIFEST))})
