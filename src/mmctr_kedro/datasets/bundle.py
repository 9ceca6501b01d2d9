"""A bundle: all that a stranger needs to verify a submission, in one zip, the same bytes for the same contents."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets._typing import JSONPreview

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.seals import check_seal, sealed_write
from mmctr_kedro.submission.bundling import Bundle
from mmctr_kedro.submission.zip_file import zip_entry

MANIFEST = "manifest.json"
LARGEST = 4 << 30  # bytes of all members together: more is no bundle of ours


class BundleDataset(AbstractDataset[Bundle, Bundle]):
    """A ``Bundle`` as a zip. Reading takes nobody's word: sizes are bounded and every member must be what the
    manifest says.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Bundle:
        check_seal(self._filepath)
        files = self._read()
        try:
            manifest = json.loads(files.pop(MANIFEST))
            expected = manifest["files"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._refused(f"no {MANIFEST} that lists its files ({type(error).__name__}: {error})") from error
        found = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        if wrong := sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name)):
            raise self._refused(f"{', '.join(wrong[:5])} missing, unknown or not as the manifest says (SHA-256)")
        return Bundle(manifest, files)

    def _read(self) -> dict[str, bytes]:
        try:
            with zipfile.ZipFile(self._filepath) as archive:
                if (size := sum(info.file_size for info in archive.infolist())) > LARGEST:
                    raise self._refused(f"its members claim {size:,} bytes, more than {LARGEST:,}")
                return {info.filename: archive.read(info) for info in archive.infolist()}
        except FileNotFoundError:
            raise MmctrError(
                f"There is no bundle {self._filepath}. Name one by --params "
                "verify.bundle=path/to/bundle.zip, or make it: kedro run"
            ) from None
        except MmctrError:
            raise
        except Exception as error:  # on damaged bytes zipfile raises nearly anything
            raise self._refused(f"{type(error).__name__}: {error}") from error

    def _refused(self, why: str) -> MmctrError:
        return MmctrError(f"{self._filepath} is no bundle of this project, or a damaged one: {why}. Fetch it again.")

    def save(self, data: Bundle) -> None:
        manifest = json.dumps(data.manifest, indent=1, sort_keys=True, allow_nan=False) + "\n"
        with sealed_write(self._filepath) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, content in {MANIFEST: manifest.encode(), **data.files}.items():
                archive.writestr(zip_entry(name), content, compresslevel=6)

    def preview(self) -> JSONPreview:
        """The manifest, for Kedro-Viz."""
        return JSONPreview(json.dumps(self.load().manifest))

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
