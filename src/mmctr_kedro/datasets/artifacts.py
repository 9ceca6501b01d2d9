"""The finished files of a run by their SHA-256, for the manifest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from mmctr_kedro.common.files import sha256


class ArtifactsDataset(AbstractDataset[dict[str, str], dict[str, str]]):
    """Loads ``{path below filepath: SHA-256}`` of every file that the patterns match, in the order of paths.

    Hidden files are no artifacts. Whoever reads this must also read what is made last, or files may be missing.
    """

    def __init__(self, *, filepath: str, patterns: Iterable[str], metadata: dict[str, Any] | None = None) -> None:
        self._path, self._patterns = Path(filepath), tuple(patterns)
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        found = {path for pattern in self._patterns for path in self._path.glob(pattern) if path.is_file()}
        names = sorted((path.relative_to(self._path).as_posix(), path) for path in found)
        return {name: sha256(path) for name, path in names if not any(part[0] == "." for part in name.split("/"))}

    def fingerprint(self) -> str:
        """For the planner."""
        return repr(self.load())

    def save(self, data: dict[str, str]) -> NoReturn:
        raise DatasetError("Artifacts are files that other datasets write.")

    def _exists(self) -> bool:
        return self._path.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path), "patterns": self._patterns}
