"""Seals: beside every artifact the SHA-256 of its files, so that a damaged, cut or half-copied one is never used.

The seal of ``NAME`` is ``.NAME.sha256``, in the format of ``sha256sum -c``. An artifact without one is foreign: a user
brought it, and it is taken as it is. While an artifact is replaced its seal lists the old and the new one, each under
a line of its own that begins with #; a kill leaves one of the two, and the seal fits it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmctr_kedro.common.errors import DiskError, MmctrError
from mmctr_kedro.common.files import atomic_write, sha256, sweep

Digests = dict[str, str]  # SHA-256 by file, named from the artifact's folder on: "clicks_train/item.npy"

_TICK = 20_000_000  # ns; a file changed twice within one tick of the filesystem's clock may look unchanged
_KNOWN: dict[tuple[int, ...], str] = {}  # digests by what stat says, so that a file is hashed once per process


@contextmanager
def sealed_write(path: Path | str) -> Iterator[Path]:
    """``files.atomic_write``, and the seal with it."""
    path = Path(path)
    with atomic_write(path) as temporary:
        yield temporary
        new = _digests(temporary)
        _write(path, [*_old(path), new])
    with suppress(DiskError):  # the artifact is safe, and its seal fits it as it is
        _write(path, [new])


def seal(path: Path | str) -> None:
    """Seal the artifact as it is now, for a writer that found exactly what it would have written."""
    sweep(Path(path))
    _write(Path(path), [_digests(Path(path))])


def check_seal(path: Path | str) -> None:
    """Make sure that the artifact, a file or a folder, is what was written; says nothing if it is not there.

    Raises:
        MmctrError: If a file differs, is missing or is one too many.
    """
    _checked(Path(path))


def sealed_digests(path: Path | str) -> Digests:
    """SHA-256 of every file of the artifact, having made sure that it is what was written; empty if not there."""
    return _checked(Path(path))


def seal_of(path: Path) -> Path:
    """Where the artifact's seal lies."""
    return path.with_name(f".{path.name}.sha256")


def _checked(path: Path) -> Digests:
    if not path.exists():
        sweep(path)  # a kill may have left it aside
    while (before := _state(path))[0]:
        found, listed = _digests(path), before[1]
        if listed is None or found in listed:
            return found
        if before == _state(path):  # otherwise another run has replaced it in between: look again
            raise MmctrError(
                f"{path} is not what was written: {_differences(found, listed)}. It was damaged, cut or changed by "
                "hand. Make it again: kedro run, with the --env and --pipeline that made it; if you put it there "
                f"yourself, remove {seal_of(path)}"
            )
    return {}


def _state(path: Path) -> tuple[int | None, list[Digests] | None]:
    """The artifact's inode, None if it is not there, and its seal."""
    return (path.stat().st_ino if path.exists() else None), _listed(path)


def _differences(found: Digests, listed: Iterable[Digests]) -> str:
    """Against the nearest of the sealed ones."""
    each = [
        [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
        + [f"{name} is one too many" for name in sorted(found.keys() - wanted.keys())]
        + [f"sha256 of {name} differs" for name in sorted(wanted.keys() & found.keys()) if wanted[name] != found[name]]
        for wanted in listed
    ]
    shortest = min(each, key=len, default=["its seal is empty"])
    return ", ".join([*shortest[:3], *([f"and {len(shortest) - 3} more"] if len(shortest) > 3 else [])])


def _digests(path: Path) -> Digests:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    with suppress(FileNotFoundError):  # replaced meanwhile
        return {str(file.relative_to(path.parent).as_posix()): _digest(file) for file in files if file.is_file()}
    return {}


def _digest(file: Path) -> str:
    stat = file.stat()
    stamp = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    if stamp in _KNOWN:
        return _KNOWN[stamp]
    digest = sha256(file)
    if time.time_ns() - stat.st_ctime_ns > _TICK:
        _KNOWN[stamp] = digest
    return digest


def _listed(path: Path) -> list[Digests] | None:
    """The artifacts that the seal fits; None without a seal."""
    try:
        lines = seal_of(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    listed: list[Digests] = []
    for line in lines:
        if line.startswith("#"):
            listed.append({})
        else:
            digest, _, name = line.partition("  ")
            (listed or [{}])[-1][name] = digest
    return listed


def _old(path: Path) -> list[Digests]:
    """What the seal says of the artifact that is to be replaced; a foreign one, and one of two, is looked at."""
    listed = _listed(path)
    if listed and len(listed) == 1:
        return listed
    found = _digests(path)
    return [found] if found and (listed is None or found in listed) else []


def _write(path: Path, listed: list[Digests]) -> None:
    distinct = [digests for turn, digests in enumerate(listed) if digests not in listed[:turn]]
    if distinct == _listed(path):
        sweep(seal_of(path))
    else:
        with atomic_write(seal_of(path)) as temporary, temporary.open("w", encoding="utf-8") as file:
            for digests in distinct:
                file.write(f"# To check: sha256sum -c {seal_of(path).name}\n")
                file.writelines(f"{digest}  {name}\n" for name, digest in digests.items())
