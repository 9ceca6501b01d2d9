"""The catalog's handles on a submission and on its bundle: zips."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from kedro.io import AbstractVersionedDataset, Version
from kedro_datasets._typing import JSONPreview, TablePreview

from mmctr_kedro.common.seals import check_seal, sealed_write
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


class RecordDataset(AbstractVersionedDataset[Bundle, Bundle]):
    """The ``record`` of a bundle, whole and sealed as the others, a version for each run: ``versioned: true``."""

    def __init__(
        self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> Bundle:
        path = Path(self._get_load_path())
        check_seal(path)
        return read_bundle(path)

    def save(self, data: Bundle) -> None:
        with sealed_write(Path(self._get_save_path())) as temporary:
            temporary.write_bytes(bundle_bytes(data))

    def _exists(self) -> bool:
        return Path(self._get_load_path()).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath), "version": self._version}

    def preview(self) -> JSONPreview:
        """The manifest, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load().manifest))
