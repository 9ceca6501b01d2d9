"""Writing files so that a reader sees the old one or the new one, never a half.

A writer works in a folder of its own beside its goal, ``.NAME.xxxxxxxx.part``, and locks it. The kernel drops that
lock with the process, so the next writer knows which of these rooms a kill has left, and removes them.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic_ns

from mmctr_kedro.common.errors import DiskError

_written: dict[Path, int] = {}  # what this process has put in place, and when
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLOSED = {errno.EACCES, errno.EPERM}
_LIBC = ctypes.CDLL(None)
_AT_FDCWD, _SWAP = -100, 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_ROOM = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.part")
_PROBE = 4096  # bytes
_MANY = 64  # files


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends well.

    The block may create a file or a folder there. Contents are synced before the rename; on an error the
    temporary is removed and whatever was at ``path`` stays.

    Raises:
        DiskError: If the disk is full or may not be written.
    """
    path, placed = Path(path), False
    try:
        with _room(path) as room:
            temporary = room / path.name
            yield temporary
            _sync(temporary)
            _replace(temporary, path, room)
            placed = True
            _sync_entry(path.parent)
            _written[path.absolute()] = monotonic_ns()
    except Exception as error:
        if words := _refusal(error, path, placed):
            raise DiskError(words) from error
        raise


def remove(path: Path) -> None:
    """Remove a file or folder, if it is there, so that no reader ever sees a part of it."""
    if path.exists():
        with _room(path) as room:
            path.rename(room / path.name)


def sweep(path: Path) -> None:
    """Remove the rooms that killed writers of ``path`` left; put back a folder they had moved aside."""
    with suppress(OSError):
        for entry in os.scandir(path.parent):
            if (room := _ROOM.fullmatch(entry.name)) and room["name"] == path.name:
                _sweep_room(Path(entry), path)


def sweep_below(top: Path) -> None:
    """The same for whatever lies in ``top`` or deeper."""
    for parent, folders, _ in os.walk(top):
        rooms = [room for folder in folders if (room := _ROOM.fullmatch(folder))]
        folders[:] = [folder for folder in folders if not _ROOM.fullmatch(folder)]
        for room in rooms:
            _sweep_room(Path(parent, room[0]), Path(parent, room["name"]))


def _sweep_room(room: Path, path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(room, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its writer lives: BlockingIOError
            aside = _aside(room, path)
            if aside.exists() and not os.path.lexists(path):
                aside.rename(path)
            shutil.rmtree(room, ignore_errors=True)
        finally:
            os.close(descriptor)


@contextmanager
def _room(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path)
    while True:
        room = Path(mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
        descriptor = os.open(room, os.O_RDONLY)
        with suppress(OSError):  # where a filesystem has no locks, nothing is swept either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if room.is_dir():
            break
        os.close(descriptor)  # another writer swept it between the two lines
    try:
        yield room
    except Exception:
        # NumPy and torch do not say why they could not write; the system tells it again.
        (room / "probe").write_bytes(bytes(_PROBE))
        raise
    finally:
        shutil.rmtree(room, ignore_errors=True)
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def written_since(moment: int) -> list[Path]:
    """The paths that this process has put in place since a moment of ``time.monotonic_ns()``."""
    return [path for path, when in _written.items() if when >= moment]


def _replace(temporary: Path, path: Path, room: Path) -> None:
    folders = path.is_dir() or temporary.is_dir()
    if not (folders and os.path.lexists(path)):
        os.replace(temporary, path)
    elif not _exchange(temporary, path):
        # No swap here: move the old one aside first, and back if that was all. A kill between leaves it to `sweep`.
        aside = _aside(room, path)
        path.rename(aside)
        try:
            os.replace(temporary, path)
        except OSError:
            aside.rename(path)
            raise


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system or the filesystem cannot."""
    names = os.fsencode(one), os.fsencode(other)
    if hasattr(_LIBC, "renameat2"):
        return _LIBC.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _SWAP) == 0
    return hasattr(_LIBC, "renamex_np") and _LIBC.renamex_np(*names, _SWAP) == 0


def _aside(room: Path, path: Path) -> Path:
    return room / f"{path.name}.replaced"


def _sync(path: Path) -> None:
    entries = [entry for entry in (path, *path.rglob("*")) if entry.is_file() or entry.is_dir()]
    if len(entries) > _MANY:
        os.sync()  # everything at once: 3,000 covers one by one take 15 s, a folder of 91,717 minutes
        return
    for entry in entries:
        _sync_entry(entry)


def _sync_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refusal(error: BaseException | None, path: Path, placed: bool) -> str | None:
    """What to tell the user where a disk has refused to take ``path``; None for any other error."""
    while error is not None:
        if isinstance(error, DiskError):
            return None  # told already
        if code := _code(error, path):
            old = "What was there before is as it was" if path.exists() else "Nothing is there yet"
            stays = "The new one is in place, but a power cut may undo it" if placed else old
            mend = "Make room" if code in _FULL else "Make that place writable"
            room = f" ({_free(path)} free)" if code in _FULL else ""
            return (
                f"{path} could not be written: {os.strerror(code)}{room}. {stays}. "
                f"{mend} and run again, or write elsewhere: --params root=<another folder>"
            )
        error = error.__cause__ or error.__context__
    return None


def _code(error: BaseException, path: Path) -> int | None:
    """The system's number of a disk's refusal."""
    if isinstance(error, OSError) and error.errno in _CLOSED and error.filename:
        named = Path(os.fsdecode(error.filename))  # other files than ours are other people's matter
        return error.errno if path.is_relative_to(named) or named.is_relative_to(path.parent) else None
    known = _FULL | {errno.EROFS}
    if isinstance(error, OSError) and error.errno in known:
        return error.errno
    return next((code for code in known if os.strerror(code) in str(error)), None)  # safetensors has it only in words


def _free(path: Path) -> str:
    there = next(folder for folder in path.absolute().parents if folder.exists())
    return f"{shutil.disk_usage(there).free / 1e6:,.1f} MB"
