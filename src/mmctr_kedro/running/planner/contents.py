"""Digests of files and folders; what has been read once is not read again until it is touched."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import Any

from mmctr_kedro.common.files import atomic_write, sha256, stamp

FRESH = 2_000_000_000  # ns: a file touched so lately may be touched again without a new time (FAT counts 2 s)


def stamps(path: Path | str) -> dict[str, tuple[int, ...]]:
    """Those of the files below a path, or of the path itself as "."; dot files do not count, links are followed."""
    if os.path.isfile(path):
        return {".": stamp(path)}
    names = glob("**", root_dir=path, recursive=True) if os.path.isdir(path) else []
    files = {name: os.path.join(path, name) for name in names}
    return {name: stamp(file) for name, file in files.items() if os.path.isfile(file)}  # no pipe, no link to nowhere


class Contents:
    """What was found in files, remembered in one JSON file between processes."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        try:
            self._stored = memory.read_text()
            self._known: dict[str, list[Any]] = json.loads(self._stored)
        except (OSError, ValueError):
            self._stored, self._known = "", {}

    def digest(self, path: Path) -> str | None:
        """Of a file its SHA-256; of a folder one over its files' names and theirs; None where nothing is."""
        seen = stamps(path)

        def read() -> str:
            if set(seen) == {"."}:
                return sha256(path)
            lines = (f"{sha256(path / name)} {name}\n" for name in sorted(seen))
            return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

        return self.recall(str(path), seen, read) if seen else None

    def recall(self, question: str, seen: dict[str, tuple[int, ...]], find_out: Callable[[], Any]) -> Any:
        """The answer (JSON), found out only if the files it hangs on have other stamps than the last time."""
        looks = hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()
        if (known := self._known.get(question)) and known[0] == looks:
            return known[1]
        now, answer = time.time_ns(), find_out()
        if now - max(max(entry[1:3], default=0) for entry in seen.values()) > FRESH:
            self._known[question] = [looks, answer]
        return answer

    def save(self) -> None:
        """Remember for the next process what this one has read."""
        if (text := json.dumps(self._known)) != self._stored:
            with atomic_write(self._memory) as temporary:
                temporary.write_text(text)
