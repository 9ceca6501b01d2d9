"""What surrounds a run: the commit it runs from, the lock, the libraries, the machine, the moment.

The store object that nodes get from the catalog, so that they themselves ask neither git nor the clock.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from itertools import islice
from pathlib import Path

LOCK = "requirements.lock"
PACKAGE = Path(__file__).parents[1]  # the code that runs
TEMPLATE = f"src/{PACKAGE.name}/template/"  # what `mmctr_kedro new` copies


@dataclass(frozen=True)
class Project:
    """A folder of this project; ``path`` holds pyproject.toml.

    It is a working tree with the code in it, or one that `mmctr_kedro new` made, whose code is the installed package.
    """

    path: Path

    @property
    def commit(self) -> str | None:
        """The full hash that is checked out; None where there is no git, no commit, or another project's tree.

        A tree without the code that runs, which is then an installed package's, is another project's.
        """
        found = self._git("rev-parse", "--show-toplevel", "HEAD")
        top, _, head = (found or b"").decode().strip().rpartition("\n")
        own = top and Path(top).resolve() == self.path.resolve() and _code(self.path / "src") == _code(PACKAGE.parent)
        return head if own else None

    @property
    def changes(self) -> list[str]:
        """Files that differ from the commit or are not in it; what git ignores is left out, and data/, link or not."""
        found = self._git("status", "--porcelain", "--untracked-files=all", "-z", "--", ".", ":(exclude)data") or b""
        entries = found.decode(errors="surrogateescape").split("\0")
        return sorted({entry[3:] for entry in entries if len(entry) > 3 and entry[2] == " "})

    def archive(self) -> bytes | None:
        """The files of the commit as a tar, the same bytes each time; None where there is no commit."""
        return None if self.commit is None else self._git("archive", "--format=tar", "HEAD")

    @property
    def code(self) -> dict[str, bytes]:
        """The tree's files of code, or the installed package's where it has none, by their path in a tree."""
        return _code(self.path / "src") or _code(PACKAGE.parent)

    @property
    def sha256(self) -> str:
        """Of the code and of conf/base's catalog, whatever git knows of them; settings are told by themselves."""
        catalog = {file.name: file.read_bytes() for file in (self.path / "conf" / "base").glob("catalog*.yml")}
        return hashlib.sha256(repr(sorted((catalog | self.code).items())).encode()).hexdigest()

    @property
    def lock_file(self) -> Path:
        """The tree's requirements.lock, or the one that came with the installed package."""
        own = self.path / LOCK
        return own if own.is_file() else PACKAGE / "template" / LOCK

    @property
    def lock(self) -> bytes:
        """The bytes of requirements.lock."""
        return self.lock_file.read_bytes()

    @property
    def version(self) -> str:
        """The package's, as it was installed."""
        try:
            return metadata.version(PACKAGE.name)
        except metadata.PackageNotFoundError:
            return "unknown"  # sources on the path

    def versions(self) -> dict[str, str]:
        """Python's version and that of every locked distribution which is installed, by name."""
        # Ray puts distributions that lie within its own package before all others, once it is imported.
        path = [folder for folder in sys.path if "site-packages" not in Path(folder).parent.parts]
        found = {"python": platform.python_version()}
        for name in re.findall(r"^([A-Za-z0-9][\w.-]*?)(?:\[[^\]]*\])?==", self.lock.decode(), flags=re.MULTILINE):
            for installed in islice(metadata.Distribution.discover(name=name, path=path), 1):  # none of other extras
                found[name] = installed.version
        return found

    def hardware(self) -> dict[str, str | int]:
        """What the arithmetic runs on: system, processor, cores, accelerator."""
        import torch

        return {
            "system": platform.system(),
            "machine": platform.machine(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "cores": os.cpu_count() or 0,
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        }

    def moment(self) -> dict[str, str]:
        """Host and time, which no two runs share."""
        return {"host": socket.gethostname(), "time": datetime.now(UTC).isoformat(timespec="seconds")}

    def fingerprint(self) -> str:
        """What of it decides a result: the commit, what differs from it, and how."""
        return f"{self.commit} {self.changes} {self.sha256}"

    def _git(self, *arguments: str) -> bytes | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=self.path, capture_output=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout


def _code(src: Path) -> dict[str, bytes]:
    """The package's files below ``src``, without the template of new projects, which decides no result."""
    files = [file for file in (src / PACKAGE.name).rglob("*") if file.is_file() and file.suffix != ".pyc"]
    names = {file: f"src/{file.relative_to(src).as_posix()}" for file in files}
    return {name: file.read_bytes() for file, name in names.items() if not name.startswith(TEMPLATE)}
