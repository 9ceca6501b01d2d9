"""Disks that refuse: full ones, read-only ones, files that may not grow."""

from __future__ import annotations

import errno
import gc
import os
import resource
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.chaos.artifacts import Kind
from benchmarks.chaos.kills import fork
from mmctr_kedro.common import files
from mmctr_kedro.common.errors import DiskError

TMPFS_BYTES = 8 << 20
PAGE = 4096


def refused(root: Path, kind: Kind, versions: list[dict[str, str]], must: bool = True) -> bool:
    """Save the new version where the old one is; whether the disk refused, in words that name it.

    Whatever happened, the old one or the new one must be there, and the old one if the disk refused.
    """
    error = _save(root, kind, 1)
    if error is None:
        assert not must, f"{kind.name} was written in spite of all"
        assert kind.digests(root) == versions[1], f"{kind.name}: the new one is not whole"
        return False
    told = next((link for link in _chain(error) if isinstance(link, DiskError)), None)
    assert told is not None, f"{kind.name}: {error!r} is no message for a user"
    assert kind.name in str(told), told
    assert kind.digests(root) == versions[0], f"{kind.name}: the old one is gone"
    return True


def _save(root: Path, kind: Kind, version: int) -> Exception | None:
    try:
        kind.save(root / kind.name, version)
    except Exception as error:
        return error
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def injected(home: Path, kinds: list[Kind]) -> dict[str, int]:
    """Refusals by a patched call, and by the kernel where no right is needed; cases by what refused."""
    counts: Counter[str] = Counter()
    for kind in kinds:
        for name, refusing in _refusals(kind).items():
            root = home / f"{kind.name}.{name.replace(' ', '_')}"
            versions = _versions(root, kind)
            if name.startswith("EFBIG"):  # of this process, pytest's own files too: in a child
                _, status = os.waitpid(fork(lambda: _limited(root, kind, versions)), 0)  # noqa: B023
                assert status == 0, f"{kind.name}, {name}"
            else:
                with refusing:
                    refused(root, kind, versions)
            _as_before(root, kind, versions)
            counts[name] += 1
    return dict(counts)


def _refusals(kind: Kind) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"{name} at {call}": mock.patch.object(module, call, _raise(code))
        for name, code in (("ENOSPC", errno.ENOSPC), ("EROFS", errno.EROFS), ("EDQUOT", errno.EDQUOT))
        for module, call in ((os, "fsync"), (os, "replace"), (files, "mkdtemp"))
    }
    found["EFBIG of the kernel"] = None
    if kind.opens:
        found["ENOSPC of /dev/full"] = _full_device(kind)
    return found


def _raise(code: int) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return refuse


def _limited(root: Path, kind: Kind, versions: list[dict[str, str]]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        refused(root, kind, versions)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@contextmanager
def _full_device(kind: Kind) -> Iterator[None]:
    """The artifact's temporary name is a link to /dev/full, which the kernel lets nobody write to."""
    make = files.mkdtemp

    def linked(prefix: str, **where: Any) -> str:
        room = make(prefix=prefix, **where)
        if prefix == f".{kind.name}.":
            Path(room, kind.name).symlink_to("/dev/full")
        return room

    with mock.patch.object(files, "mkdtemp", linked):
        yield


def mounted(home: Path, kinds: list[Kind]) -> dict[str, Any]:
    """A tmpfs filled to the last page and then with ever more pages free, and read only; or why there is none."""
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        made = _mount("-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "mmctr_chaos", str(home))
        if made.returncode:
            return {"skipped": f"mounting is not allowed here ({made.stderr.rpartition(':')[2].strip()})"}
        stack.callback(subprocess.run, ["umount", str(home)], check=True)
        stack.callback(gc.collect)  # maps of replaced files keep it busy
        counts: Counter[str] = Counter()
        for kind in kinds:
            shutil.rmtree(home / "root", ignore_errors=True)
            versions = _versions(home / "root", kind)
            pages = 0
            while _with_free(home, kind, versions, pages):
                counts["refused by a full tmpfs"] += 1
                _as_before(home / "root", kind, versions)
                pages = pages + 1 if pages < 8 else 2 * pages
            kind.save(home / "root" / kind.name, 0)
            gc.collect()
            remounted = _mount("-o", "remount,ro", str(home))
            assert remounted.returncode == 0, remounted.stderr
            try:
                refused(home / "root", kind, versions)
                counts["refused by a read-only tmpfs"] += 1
            finally:
                _mount("-o", "remount,rw", str(home))
        return dict(counts)


def _mount(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))


def _with_free(home: Path, kind: Kind, versions: list[dict[str, str]], pages: int) -> bool:
    filler = home / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(PAGE))
        except OSError:
            file.truncate(max(0, file.tell() - pages * PAGE))
    try:
        return refused(home / "root", kind, versions, must=pages == 0)
    finally:
        filler.unlink()


def _versions(root: Path, kind: Kind) -> list[dict[str, str]]:
    root.mkdir(parents=True)
    found = []
    for version in (1, 0):
        kind.save(root / kind.name, version)
        found.insert(0, kind.digests(root))
    return found


def _as_before(root: Path, kind: Kind, versions: list[dict[str, str]]) -> None:
    assert kind.digests(root) == versions[0]
    assert not list(root.glob(".*.part")), "litter"
