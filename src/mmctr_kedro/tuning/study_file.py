"""Where the study of a search lies. Light to import."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class StudyFile:
    """The SQLite file of a search. The store object of the node that searches."""

    cache: ClassVar[bool] = True  # a search goes on where it was: what lies there decides how soon it is done (planner)

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def url(self) -> str:
        """Its address; its folder is made."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{self._path.absolute()}"
