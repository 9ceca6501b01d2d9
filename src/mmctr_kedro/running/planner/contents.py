"""Digests of files and folders; what has been read once is not read again until it is touched."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from pathlib import Path

from mmctr_kedro.common.files import atomic_write

Look = dict[str, tuple[int, ...]]  # file below a path ("" for the path itself): size, mtime, ctime, inode
FRESH = 2_000_000_000  # ns: a file touched so lately may be touched again without a new time (FAT counts 2 s)


def look(path: Path | str) -> Look:
    """The files at a path, not opened; empty where nothing is. Dot files do not count, links are followed."""
    try:
        if not stat.S_ISDIR(os.stat(path).st_mode):
            return {"": _signature(path)}
    except (OSError, ValueError):  # the latter: a NUL in it, so no path
        return {}
    found: Look = {}
    entered = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        if (real := os.path.realpath(folder)) in entered:
            folders.clear()  # a link that leads round in a circle
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = os.path.relpath(folder, path)
        for name in names:
            if not name.startswith("."):
                found[os.path.normpath(os.path.join(inside, name))] = _signature(os.path.join(folder, name))
    return found


def _signature(path: Path | str) -> tuple[int, ...]:
    try:
        entry = os.stat(path)
    except OSError:
        return ()  # a link to nowhere
    return entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns, entry.st_ino


class Contents:
    """SHA-256 of what lies at a path, remembered in one JSON file between processes."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._lasting = _remembered(memory)  # path: what a look at it said, digest
        self._known = dict(self._lasting)
        self._saved = dict(self._lasting)

    def digest(self, path: Path, seen: Look) -> str | None:
        """Of a file its SHA-256; of a folder one over its files' names and theirs; None where nothing is."""
        if not seen:
            return None
        said = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
        if (known := self._known.get(str(path))) and known[0] == said:
            return known[1]
        now = time.time_ns()
        digest = _read(path) if set(seen) == {""} else _together(path, seen)
        self._known[str(path)] = [said, digest]
        if now - max(max(entry[1:3], default=0) for entry in seen.values()) > FRESH:
            self._lasting[str(path)] = [said, digest]
        return digest

    def save(self) -> None:
        """Remember for the next process what this one has read."""
        if self._lasting != self._saved:
            with atomic_write(self._memory) as temporary:
                temporary.write_text(json.dumps(self._lasting, indent=1, sort_keys=True))
            self._saved = dict(self._lasting)


def _remembered(memory: Path) -> dict[str, list[str]]:
    try:
        return dict(json.loads(memory.read_text()))
    except (OSError, ValueError):
        return {}


def _together(path: Path, seen: Look) -> str:
    lines = (f"{_read(path / name)} {name}\n" for name in sorted(seen))
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            return "no file"  # a pipe would wait for ever; a link to nowhere
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
