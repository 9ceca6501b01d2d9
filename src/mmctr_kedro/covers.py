"""The cover images of a raw folder by item id, read in place from a folder or an archive.

Bytes only: decoding an image, and saying what a bad one is worth, is the encoders' business. Archives are
read, never unpacked, so a member's path can do no harm, wherever it points.
"""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmctr_kedro.challenge import CONTAINERS, COVERS
from mmctr_kedro.errors import MmctrError

_COVER_NAME = re.compile(r"(?:.*[/\\])?(\d{1,18})\.(?:jpg|jpeg|png|webp)", re.IGNORECASE | re.DOTALL)


class _Member(NamedTuple):
    name: str  # path inside the container
    place: int  # where its bytes begin, or its turn in a container that can only be read from the start
    size: int  # bytes; -1 where only reading tells


class Covers:
    """The covers of one container, indexed once when made; ``Covers(None)`` is the empty store.

    Attributes:
        path: The folder or archive; None where there are no covers.
        item_ids: Items that have a cover, ``[n]`` int64, ascending.
        ignored: How many files have a name that is no ``{item_id}.jpg|jpeg|png|webp``.
        duplicates: How many files claim the same item, for items with more than one. The one whose name is
            shortest is used, and of equally short ones the first in the alphabet.
    """

    def __init__(self, path: Path | str | None) -> None:
        self.path = None if path is None else Path(path)
        members = _members(self.path)
        candidates = [(int(match[1]), m) for m in members if (match := _COVER_NAME.fullmatch(m.name))]
        candidates.sort(key=lambda found: (found[0], len(found[1].name), found[1].name))
        first_of_item = dict(reversed(candidates))
        self.item_ids = np.fromiter(sorted(first_of_item), np.int64, len(first_of_item))
        self.ignored = len(members) - len(candidates)
        claims = Counter(item for item, _ in candidates) if len(candidates) > len(first_of_item) else {}
        self.duplicates = {item: count for item, count in claims.items() if count > 1}
        self._members = [first_of_item[item] for item in self.item_ids.tolist()]
        self._zip: tuple[int, zipfile.ZipFile] | None = None

    @classmethod
    def find(cls, folder: Path | str) -> Covers:
        """The covers in a raw folder: ``item_images/`` or ``item_images.zip|tar|tar.gz|tgz|rar``, or none.

        A folder without any cover in it (a download in progress, say) gives way to an archive beside it.
        """
        paths = [path for end in CONTAINERS if (path := Path(folder) / f"{COVERS}{end}").exists()]
        for path in paths:
            covers = cls(path)
            if len(covers) or path == paths[-1]:
                return covers
        return cls(None)

    def __len__(self) -> int:
        return len(self.item_ids)

    @property
    def anywhere(self) -> bool:
        """Whether any cover can be read without those before it."""
        return _kind(self.path) not in (".tar.gz", ".rar")

    def name(self, item_id: int) -> str:
        """The path of an item's cover inside the container. KeyError where it has none."""
        at = int(np.searchsorted(self.item_ids, item_id))
        if at == len(self) or self.item_ids[at] != item_id:
            raise KeyError(item_id)
        return self._members[at].name

    def read(self, item_ids: Iterable[int] | np.ndarray) -> Iterator[tuple[int, bytes | None]]:
        """Each distinct item of ``item_ids`` once, with its file's bytes, or None where it has no cover.

        The order is the container's own (a folder: ascending ids), which is the quick one, then the items
        without a cover, ascending. One cover is in memory at a time. A cover that the container holds but
        cannot give back (a wrong checksum in a .zip, a link to nowhere) comes as empty bytes: it is there, and
        unreadable.
        Folders, .zip and .tar go straight to what is asked for; .tar.gz and .rar are read from their start
        at every call, so ask for many items at once.
        """
        asked = np.unique(np.fromiter(item_ids, np.int64))
        at = np.flatnonzero(np.isin(self.item_ids, asked))
        wanted = sorted(zip(self.item_ids[at].tolist(), at.tolist(), strict=True), key=self._place)
        yield from self._reader()([(item, self._members[index]) for item, index in wanted])
        for item in np.setdiff1d(asked, self.item_ids).tolist():
            yield item, None

    def _place(self, found: tuple[int, int]) -> tuple[int, int]:
        item, index = found
        return self._members[index].place, item

    def _reader(self) -> Callable[[list[tuple[int, _Member]]], Iterator[tuple[int, bytes]]]:
        kind = _kind(self.path)
        if kind == ".zip":
            return self._read_zip
        readers = {
            None: _read_nothing,
            "": _read_folder,
            ".tar": _read_tar,
            ".tar.gz": _read_tar_gz,
            ".rar": _read_rar,
        }
        return lambda wanted: readers[kind](self.path or Path(), wanted)

    def _read_zip(self, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
        # Opening parses the whole directory, so the archive stays open: per process, because a forked
        # child shares its parent's file position. ZipFile itself is safe to read from several threads.
        if self._zip is None or self._zip[0] != os.getpid():
            self._zip = (os.getpid(), zipfile.ZipFile(str(self.path)))
        archive = self._zip[1]
        for item, member in wanted:
            try:
                yield item, archive.read(member.name)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
                yield item, b""  # damaged, encrypted, or packed in a way zipfile does not know

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_zip": None}

    def __repr__(self) -> str:
        return f"Covers({str(self.path) if self.path else None!r}: {len(self):,} items)"


def _kind(path: Path | None) -> str | None:
    """The container's entry of ``CONTAINERS`` (.tgz as .tar.gz); None for the empty store."""
    if path is None:
        return None
    if path.is_dir():
        return ""
    name = path.name.lower()
    kind = next((end for end in CONTAINERS[1:] if name.endswith(end)), None)
    if kind is None or not path.is_file():
        known = ", ".join(CONTAINERS[1:])
        raise MmctrError(f"{path} is no place for covers: expected a folder or a file ending in {known}.")
    return ".tar.gz" if kind == ".tgz" else kind


def _members(path: Path | None) -> list[_Member]:
    """Every file in the container."""
    kind = _kind(path)
    if path is None or kind is None:
        return []
    list_files = {
        "": _list_folder,
        ".zip": _list_zip,
        ".tar": _list_tar,
        ".tar.gz": _list_tar,
        ".rar": _list_rar,
    }
    return list_files[kind](path)


def _damaged(path: Path, why: object) -> MmctrError:
    return MmctrError(
        f"{path} cannot be read as a {_kind(path)} archive ({why}): cut short or not such a file. "
        f"Fetch it again, or unpack what there is into {path.parent / COVERS}/ and remove it."
    )


# --- folder ----------------------------------------------------------------------------------------------


def _list_folder(path: Path, inside: str = "", depth: int = 4) -> list[_Member]:
    members: list[_Member] = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir():
                if depth:  # a bound, because links may lead round in circles
                    members += _list_folder(Path(entry.path), f"{inside}{entry.name}/", depth - 1)
            else:
                members.append(_Member(f"{inside}{entry.name}", 0, -1))
    return members


def _read_folder(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    for item, member in wanted:
        try:
            yield item, (path / member.name).read_bytes()
        except OSError:  # a link to nowhere, no permission, a bad disk
            yield item, b""


def _read_nothing(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    yield from ()


# --- zip -------------------------------------------------------------------------------------------------


def _list_zip(path: Path) -> list[_Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise _damaged(path, error) from error
    return [_Member(info.filename, info.header_offset, info.file_size) for info in infos]


# --- tar -------------------------------------------------------------------------------------------------


def _list_tar(path: Path) -> list[_Member]:
    try:
        with tarfile.open(path, "r:gz" if _kind(path) == ".tar.gz" else "r:") as archive:
            members = [_Member(m.name, m.offset_data, m.size) for m in archive if m.isreg() and not m.issparse()]
            if not _at_end_mark(archive):
                raise tarfile.ReadError("no end mark")
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise _damaged(path, error) from error
    return members


def _at_end_mark(archive: tarfile.TarFile) -> bool:
    """Whether the archive ends as it should, in a block of zeros: tarfile also stops where a file is cut."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    mark = archive.fileobj.read(tarfile.BLOCKSIZE)
    while archive.fileobj.read(1 << 20):  # to the end, where gzip notices that it is cut
        pass
    return mark == bytes(tarfile.BLOCKSIZE)


def _read_tar(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for item, member in wanted:
            file.seek(member.place)
            yield item, file.read(member.size)


def _read_tar_gz(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    if not wanted:
        return
    with tarfile.open(path, "r:gz") as archive:  # in the order of place, so decompression only ever goes forward
        assert archive.fileobj is not None
        for item, member in wanted:
            archive.fileobj.seek(member.place)
            yield item, archive.fileobj.read(member.size)


# --- rar -------------------------------------------------------------------------------------------------


def _list_rar(path: Path) -> list[_Member]:
    libarchive = _libarchive(path)
    try:
        with libarchive.file_reader(str(path)) as archive:
            members = [_Member(e.pathname or "", turn, -1) for turn, e in enumerate(archive) if e.isfile]
    except libarchive.exception.ArchiveError as error:
        raise _damaged(path, error) from error
    if not _rar_ends(path):
        raise _damaged(path, "no end mark")
    return members


def _rar_ends(path: Path) -> bool:
    """Whether a RAR's end block is among its last bytes: libarchive takes a cut for the end.

    RAR 5: CRC-32, size, type 5. RAR 3 and 4: the low half of a CRC-32, type 0x7b, flags, size.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        tail = file.read()
    return any(
        (end[5] == 5 and zlib.crc32(end[4 : 5 + end[4]]) == int.from_bytes(end[:4], "little"))
        or (end[2] == 0x7B and zlib.crc32(end[2 : end[5]]) & 0xFFFF == int.from_bytes(end[:2], "little"))
        for end in (tail[at:] for at in range(len(tail) - 6))
    )


def _read_rar(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    libarchive = _libarchive(path)
    items = {member.place: item for item, member in wanted}
    try:
        with libarchive.file_reader(str(path)) as archive:
            for turn, entry in enumerate(archive if items else ()):
                if turn in items:
                    yield items.pop(turn), _rar_bytes(entry, libarchive)
                if not items:
                    return
    except libarchive.exception.ArchiveError as error:
        raise _damaged(path, error) from error


def _rar_bytes(entry: Any, libarchive: Any) -> bytes:
    try:
        return b"".join(entry.get_blocks())
    except libarchive.exception.ArchiveError:
        return b""


def _libarchive(path: Path) -> Any:
    """The optional library that reads .rar."""
    try:
        import libarchive
    except (ImportError, AttributeError, OSError) as error:  # the package, or the C library below it
        raise MmctrError(
            f"{path} is a .rar archive, which needs a program or an extra ({error}). Either unpack it: "
            f"cd {path.parent} && unar {path.name} (or: unrar x {path.name}), then remove it. Or install the "
            'extra: pip install "mmctr_kedro[rar]" (it uses the system\'s libarchive: '
            "apt install libarchive13, brew install libarchive)."
        ) from error
    return libarchive
