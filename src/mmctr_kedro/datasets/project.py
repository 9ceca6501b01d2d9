"""The catalog's handle on what surrounds a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from mmctr_kedro.running.project import Project


class ProjectDataset(AbstractDataset[Project, Project]):
    """Loads the ``Project`` in a folder."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> Project:
        return Project(self._path)

    def fingerprint(self) -> str:
        """For the planner."""
        return Project(self._path).fingerprint()

    def save(self, data: Project) -> NoReturn:
        raise DatasetError(f"{self._path} is the project itself; it cannot be a node's output.")

    def _exists(self) -> bool:
        return self._path.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
