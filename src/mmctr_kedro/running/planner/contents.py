"""Digests of files and folders; what has been read once is not read again until it is touched."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmctr_kedro.common.files import atomic_write, sha256

Look = dict[str, tuple[int, ...]]  # file below a path ("." for the path itself): size, mtime, ctime, inode
FRESH = 2_000_000_000  # ns: a file touched so lately may be touched again without a new time (FAT counts 2 s)


def look(path: Path | str) -> Look:
    """The files at a path, not opened; empty where nothing is. Dot files do not count, links are followed."""
    if os.path.isfile(path):
        return {".": signature(path)}
    found: Look = {}
    for folder, folders, names in os.walk(path, followlinks=True) if os.path.isdir(path) else ():
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in (os.path.join(folder, name) for name in names if not name.startswith(".")):
            if os.path.isfile(file):  # no pipe, no link to nowhere
                found[os.path.relpath(file, path)] = signature(file)
    return found


def signature(file: Path | str) -> tuple[int, ...]:
    """What tells one content of a file from the next; empty where it is gone."""
    try:
        entry = os.stat(file)
    except OSError:
        return ()
    return entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns, entry.st_ino


class Contents:
    """What was found in files, remembered in one JSON file between processes."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        try:
            self._lasting: dict[str, list[Any]] = json.loads(memory.read_text())
        except (OSError, ValueError):
            self._lasting = {}
        self._known = dict(self._lasting)  # by question: what the files looked like, the answer

    def digest(self, path: Path) -> str | None:
        """Of a file its SHA-256; of a folder one over its files' names and theirs; None where nothing is."""
        seen = look(path)

        def read() -> str:
            if set(seen) == {"."}:
                return sha256(path)
            lines = (f"{sha256(path / name)} {name}\n" for name in sorted(seen))
            return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

        return self.recall(str(path), seen, read) if seen else None

    def recall(self, question: str, seen: Look, find_out: Callable[[], Any]) -> Any:
        """The answer (JSON), found out only if the files it hangs on look otherwise than the last time."""
        looks = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
        if (known := self._known.get(question)) and known[0] == looks:
            return known[1]
        now = time.time_ns()
        self._known[question] = [looks, find_out()]
        if now - max(max(entry[1:3], default=0) for entry in seen.values()) > FRESH:
            self._lasting[question] = self._known[question]
        return self._known[question][1]

    def save(self) -> None:
        """Remember for the next process what this one has read."""
        text = json.dumps(self._lasting)
        if not self._memory.is_file() or self._memory.read_text() != text:
            with atomic_write(self._memory) as temporary:
                temporary.write_text(text)
