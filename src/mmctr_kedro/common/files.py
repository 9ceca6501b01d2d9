"""Writing files so that a reader sees the old one or the new one, never a half.

A writer works in a folder of its own beside its goal, ``.NAME.xxxxxxxx.part``. One that a kill has left is removed when
the next run takes its lock on the data root (``sweep_below``).
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic_ns

from mmctr_kedro.common.errors import DiskError

_written: dict[Path, int] = {}  # what this process has put in place, and when
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LIBC = ctypes.CDLL(None)
_AT_FDCWD, _SWAP = -100, 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_ROOM = re.compile(r"\..+\.[a-z0-9_]{8}\.part")
_MANY = 64  # files


@contextmanager
def scratch(path: Path | str) -> Iterator[Path]:
    """Yield an empty folder beside ``path`` for whatever is only needed meanwhile; it goes with the block.

    Raises:
        DiskError: If the disk is full or may not be written.
    """
    path = Path(path)
    try:
        room = _room(path)
    except OSError as error:
        raise _refusal(error, path) from error
    try:
        yield room
    except Exception as error:
        last: BaseException | None = error
        try:
            (room / "probe").write_bytes(bytes(4096))  # NumPy and torch do not say why they could not write
        except OSError as told:  # the error is its context
            last = told
        while last is not None and getattr(last, "errno", None) not in _FULL | {errno.EROFS}:
            last = last.__cause__ or last.__context__
        if not isinstance(last, OSError) or isinstance(error, DiskError):
            raise
        raise _refusal(last, path) from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends well.

    The block may create a file or a folder there. Contents are synced before the rename; on an error the
    temporary is removed and whatever was at ``path`` stays.

    Raises:
        DiskError: If the disk is full or may not be written.
    """
    path = Path(path)
    with scratch(path) as room:
        temporary = room / path.name
        yield temporary
        _sync(temporary, *temporary.rglob("*"))
        _replace(temporary, path, room)
        _written[path.absolute()] = monotonic_ns()
        _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there, so that no reader ever sees a part of it."""
    if path.exists():
        room = _room(path)
        path.rename(room / path.name)
        shutil.rmtree(room)


def sweep_below(top: Path) -> None:
    """Remove what killed writers left in ``top`` or deeper; for whoever knows that no other writer lives there."""
    for parent, folders, _ in os.walk(top):
        for room in filter(_ROOM.fullmatch, folders):
            shutil.rmtree(Path(parent, room), ignore_errors=True)
        folders[:] = [folder for folder in folders if not _ROOM.fullmatch(folder)]


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(file: Path | str) -> tuple[int, ...]:
    """What tells one content of a file from the next: size, mtime, ctime, inode, device; empty where it is gone."""
    try:
        entry = os.stat(file)
    except OSError:
        return ()
    return entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns, entry.st_ino, entry.st_dev


def written_since(moment: int) -> list[Path]:
    """The paths that this process has put in place since a moment of ``time.monotonic_ns()``."""
    return [path for path, when in _written.items() if when >= moment]


def _room(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))


def _replace(new: Path, path: Path, room: Path) -> None:
    if not (path.exists() and (path.is_dir() or new.is_dir())):
        os.replace(new, path)
    elif not _exchange(new, path):  # no swap here: move the old one aside first, and back if that was all
        path.rename(room / "replaced")
        try:
            os.replace(new, path)
        except OSError:
            (room / "replaced").rename(path)
            raise


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system or the filesystem cannot."""
    names = os.fsencode(one), os.fsencode(other)
    if hasattr(_LIBC, "renameat2"):
        return _LIBC.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _SWAP) == 0
    return hasattr(_LIBC, "renamex_np") and _LIBC.renamex_np(*names, _SWAP) == 0


def _sync(*entries: Path) -> None:
    there = [entry for entry in entries if entry.exists()]
    if len(there) > _MANY:
        os.sync()  # everything at once: 3,000 covers one by one take 15 s, a folder of 91,717 minutes
        return
    for entry in there:
        descriptor = os.open(entry, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _refusal(error: OSError, path: Path) -> DiskError:
    full = error.errno in _FULL
    there = next(folder for folder in path.absolute().parents if folder.exists())
    room = f" ({shutil.disk_usage(there).free / 1e6:,.1f} MB free)" if full else ""
    old = "What is there is whole" if path.exists() else "Nothing is there yet"
    mend = "Make room" if full else "Make that place writable"
    return DiskError(
        f"{path} could not be written: {error.strerror}{room}. {old}. {mend} and run again, or write elsewhere: "
        "--params root=<another folder>"
    )
