"""A copy of the project that a test may spoil."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Project:
    """conf/ and src/ in a folder of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        ignore = shutil.ignore_patterns("local", "__pycache__", "*.egg-info")
        for name in ("conf", "src"):
            shutil.copytree(ROOT / name, path / name, ignore=ignore)
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(ROOT / name, path / name)

    def write(self, name: str, text: str) -> None:
        """A file of conf/, such as ``local/catalog.yml``."""
        (self.path / "conf" / name).parent.mkdir(exist_ok=True)
        (self.path / "conf" / name).write_text(text)

    def kedro(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """A kedro command in it; modules beside it can be imported."""
        paths = f"{self.path / 'src'}{os.pathsep}{self.path.parent}"
        return subprocess.run(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, **environment},
            check=False,
        )


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path / "project")
