"""What surrounds a run: the commit it runs from, the lock, the libraries, the machine, the moment.

The store object that nodes get from the catalog, so that they themselves ask neither git nor the clock.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

LOCK = "requirements.lock"


@dataclass(frozen=True)
class Project:
    """A working tree of this project; ``path`` holds pyproject.toml."""

    path: Path

    @property
    def commit(self) -> str | None:
        """The full hash that is checked out; None where there is no git, no commit, or another project's tree."""
        found = self._git("rev-parse", "--show-toplevel", "HEAD")
        top, _, head = (found or b"").decode().strip().rpartition("\n")
        return head if top and Path(top).resolve() == self.path.resolve() else None

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
    def lock(self) -> bytes:
        """The bytes of requirements.lock; none where it is absent."""
        file = self.path / LOCK
        return file.read_bytes() if file.is_file() else b""

    def versions(self) -> dict[str, str]:
        """Python's version and that of every locked distribution which is installed, by name."""
        found = {"python": platform.python_version()}
        for name in re.findall(r"^([A-Za-z0-9][\w.-]*?)(?:\[[^\]]*\])?==", self.lock.decode(), flags=re.MULTILINE):
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue  # of an extra that is not installed
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
        """What of it decides a result: the commit and what differs from it."""
        return f"{self.commit} {self.changes}"

    def _git(self, *arguments: str) -> bytes | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=self.path, capture_output=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout
