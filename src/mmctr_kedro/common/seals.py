"""Seals: beside every artifact the SHA-256 of its files, so that a damaged, cut or half-copied one is never used.

The seal of ``NAME`` is ``.NAME.sha256``, in the format of ``sha256sum -c``. An artifact without one is taken as it is:
a user brought it, or a kill came between the artifact, which is whole, and its seal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import atomic_write, sha256, stamp

_TICK = 20_000_000  # ns; a file changed twice within one tick of the filesystem's clock may look unchanged
_KNOWN: dict[tuple[int, ...], str] = {}  # digests by stamp, so that a file is hashed once per process


class _Unchanged(Exception):
    """What was written is what is there."""


@contextmanager
def sealed_write(path: Path | str) -> Iterator[Path]:
    """``files.atomic_write``, and the seal with it. An artifact of the same bytes is left alone."""
    path = Path(path)
    with suppress(_Unchanged), atomic_write(path) as temporary:
        yield temporary
        new = _digests(temporary)
        if new == _digests(path):
            raise _Unchanged
        seal_of(path).unlink(missing_ok=True)
    if new != _sealed(path):
        with atomic_write(seal_of(path)) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(f"# To check: sha256sum -c {seal_of(path).name}\n")
            file.writelines(f"{digest}  {name}\n" for name, digest in new.items())


def check_seal(path: Path | str) -> None:
    """Make sure that the artifact, a file or a folder, is what was written; says nothing if it is not there.

    Raises:
        MmctrError: If a file differs, is missing or is one too many.
    """
    path = Path(path)
    while path.exists() and (sealed := _sealed(path)) is not None and (found := _digests(path)) != sealed:
        if sealed == _sealed(path):  # otherwise somebody has replaced it in between: look again
            wrong = sorted(name for name in {**sealed, **found} if sealed.get(name) != found.get(name))
            raise MmctrError(
                f"{path} is not what was written: {', '.join(wrong[:3]) or 'its seal'} differs from its seal. It was "
                "damaged, cut or changed by hand. Make it again: kedro run, with the --env and --pipeline that made "
                f"it; if you put it there yourself, remove {seal_of(path)}"
            )


def seal_of(path: Path) -> Path:
    """Where the artifact's seal lies."""
    return path.with_name(f".{path.name}.sha256")


def _sealed(path: Path) -> dict[str, str] | None:
    """What the seal says; None without a seal."""
    try:
        lines = seal_of(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    pairs = (line.partition("  ") for line in lines if not line.startswith("#"))
    return {name: digest for digest, _, name in pairs}


def _digests(path: Path) -> dict[str, str]:
    """SHA-256 by file, named from the artifact's folder on: ``clicks_train/item.npy``; empty where nothing is."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    with suppress(FileNotFoundError):  # replaced meanwhile
        return {file.relative_to(path.parent).as_posix(): _digest(file) for file in files if not file.is_dir()}
    return {}


def _digest(file: Path) -> str:
    seen = stamp(file)
    if seen in _KNOWN:
        return _KNOWN[seen]
    digest = sha256(file)
    if time.time_ns() - seen[2] > _TICK:
        _KNOWN[seen] = digest
    return digest
