"""The cover images of a raw folder by item id, read in place from a folder or an archive.

Bytes only: decoding an image, and saying what a bad one is worth, is the encoders' business.

What others packed is not trusted. Archives are read, never unpacked, and refused where a member is no plain file,
lies outside the archive, or expands beyond all measure; in a folder, what is no plain file or a link that leads out of
it is not read, and counted. One cover is ``MOST_BYTES`` at the most, by what comes out and not by what is declared.
"""

from __future__ import annotations

import gzip
import io
import logging
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import CONTAINERS, COVERS

logger = logging.getLogger(__name__)

MOST_BYTES = 64 << 20  # of one cover: 50 million pixels as a good JPEG are 25 MB; larger reads as unreadable
MOST_MEMBERS = 500_000  # of one container: five times the challenge's covers; an index entry takes some 300 bytes
MOST_EXPANSION = 200  # pictures are compressed already, so that an archive of them hardly shrinks: beyond is a bomb
_HEADER_BYTES = 1 << 20  # of one header of a tar: a path is a few hundred
_DIRECTORY_BYTES = 512 * MOST_MEMBERS  # of a zip's list of members
_NAME_LENGTH = 4096  # the longest path that Linux takes

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
        refused: Of a folder, how many entries are not read, by the reason; a warning says it too.
        duplicates: How many files claim the same item, for items with more than one. The one whose name is
            shortest is used, and of equally short ones the first in the alphabet.
    """

    def __init__(self, path: Path | str | None) -> None:
        self.path = None if path is None else Path(path)
        self.refused: Counter[str] = Counter()
        self.ignored = 0
        candidates: list[tuple[int, _Member]] = []
        for turn, member in enumerate(_members(self.path, self.refused)):
            if turn == MOST_MEMBERS:
                raise _refused(self.path, f"more than {MOST_MEMBERS:,} files")
            if len(member.name) <= _NAME_LENGTH and (match := _COVER_NAME.fullmatch(member.name)):
                candidates.append((int(match[1]), member))
            else:
                self.ignored += 1
        for reason, count in self.refused.items():
            logger.warning("%s: %s not read: %s", self.path, f"{count:,} entries" if count > 1 else "an entry", reason)
        candidates.sort(key=lambda found: (found[0], len(found[1].name), found[1].name))
        first_of_item = dict(reversed(candidates))
        self.item_ids = np.fromiter(sorted(first_of_item), np.int64, len(first_of_item))
        claims = Counter(item for item, _ in candidates) if len(candidates) > len(first_of_item) else {}
        self.duplicates = {item: count for item, count in claims.items() if count > 1}
        self._members = [first_of_item[item] for item in self.item_ids.tolist()]
        self._zip: tuple[int, zipfile.ZipFile, dict[int, zipfile.ZipInfo]] | None = None

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
        cannot give back (a wrong checksum in a .zip, a link to nowhere, more than ``MOST_BYTES``) comes as empty
        bytes: it is there, and unreadable.
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
            archive = zipfile.ZipFile(str(self.path))
            self._zip = (os.getpid(), archive, {info.header_offset: info for info in archive.infolist()})
        _, archive, infos = self._zip
        for item, member in wanted:
            try:
                data = _zip_bytes(archive, infos[member.place])
            except Exception:  # damaged, encrypted, or packed in a way zipfile does not know: it raises nearly anything
                data = b""
            yield item, data

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


def _members(path: Path | None, refused: Counter[str]) -> Iterator[_Member]:
    """Every file in the container; what a folder has and is not read is counted in ``refused``."""
    kind = _kind(path)
    if path is None or kind is None:
        return
    if kind == "":
        yield from _list_folder(path, os.path.realpath(path), refused)
        return
    list_files = {".zip": _list_zip, ".tar": _list_tar, ".tar.gz": _list_tar, ".rar": _list_rar}
    inside = 0
    limit = MOST_BYTES + MOST_EXPANSION * path.stat().st_size
    try:
        for member, plain in list_files[kind](path, limit):
            inside += max(member.size, 0)
            if not plain or _leads_out(member.name):
                what = "names a place outside it" if plain else "is a link or a device, and no plain file"
                raise _refused(path, f"'{member.name[:200]}', which {what}")
            if inside > limit:
                raise _refused(path, f"more than {limit:,} bytes, {MOST_EXPANSION} times its own size")
            yield member
    except MmctrError:
        raise
    except Exception as error:  # on damaged bytes these readers raise nearly anything
        raise _damaged(path, error) from error


def _leads_out(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return ".." in parts or parts[0].endswith(":") or (parts[0] == "" and len(parts) > 1)


def _refused(path: Path | None, what: str) -> MmctrError:
    return MmctrError(
        f"{path} holds {what}. Covers come as plain files in one folder, or in an archive of nothing else, and nothing "
        "of this one was read. Pack the pictures anew, without links and with paths below the folder that holds them."
    )


def _damaged(path: Path, why: object) -> MmctrError:
    return MmctrError(
        f"{path} cannot be read as a {_kind(path)} archive ({why}): cut short or not such a file. "
        f"Fetch it again, or unpack what there is into {path.parent / COVERS}/ and remove it."
    )


# --- folder ----------------------------------------------------------------------------------------------


def _list_folder(
    path: Path | str, root: str, refused: Counter[str], inside: str = "", depth: int = 4
) -> Iterator[_Member]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_symlink() and not os.path.realpath(entry.path).startswith(os.path.join(root, "")):
                refused["a link that leads out of the folder"] += 1
            elif entry.is_dir():
                if depth:  # a bound, because links may lead round in circles
                    yield from _list_folder(entry.path, root, refused, f"{inside}{entry.name}/", depth - 1)
            elif entry.is_file() or not os.path.exists(entry.path):  # a link to nowhere is a cover that cannot be read
                yield _Member(f"{inside}{entry.name}", 0, -1)
            else:
                refused["no plain file, but a pipe, a socket or a device"] += 1


def _read_folder(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    for item, member in wanted:
        try:
            yield item, _plain_bytes(path / member.name)
        except OSError:  # a link to nowhere, no permission, a bad disk
            yield item, b""


def _plain_bytes(path: Path) -> bytes:
    """A file's bytes; none if it is no plain file, which it may have become since it was listed, or too large."""
    # Without O_NONBLOCK, opening a pipe waits until somebody writes.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        return file.read() if stat.S_ISREG(about.st_mode) and about.st_size <= MOST_BYTES else b""


def _read_nothing(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    yield from ()


# --- zip -------------------------------------------------------------------------------------------------


def _list_zip(path: Path, limit: int) -> Iterator[tuple[_Member, bool]]:
    with path.open("rb") as file:
        _check_directory(path, file)
        with zipfile.ZipFile(file) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            directory = archive.start_dir
    infos.sort(key=lambda info: info.header_offset)
    ends = [info.header_offset for info in infos[1:]] + [directory]
    for info, end in zip(infos, ends, strict=True):
        # 30 bytes of header before the name. One stretch of bytes in several members is how the best bombs are made.
        if info.header_offset + 30 + len(info.filename) + info.compress_size > end and info.compress_size:
            raise _refused(path, f"'{info.filename[:200]}', whose bytes overlap those of others")
        kind = stat.S_IFMT(info.external_attr >> 16)
        plain = kind in (0, stat.S_IFREG) or info.create_system != 3  # 3: Unix, which alone has modes
        yield _Member(info.filename, info.header_offset, info.file_size), plain


def _check_directory(path: Path, file: io.BufferedReader) -> None:
    """Refuse a list of members that is absurdly long before zipfile makes some 900 bytes of each."""
    end: Any = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # bytes of the list are its field 5
    if end is None:
        raise zipfile.BadZipFile("no end mark")
    size, place = end[5], end[9]
    most = f"more than {MOST_MEMBERS:,} files"
    if size > _DIRECTORY_BYTES:
        raise _refused(path, most)
    file.seek(max(0, place - size - 76))  # 76: what zip64 puts between the list and the end mark
    if file.read(size + 76).count(b"PK\1\2") > MOST_MEMBERS:
        raise _refused(path, most)


def _zip_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > MOST_BYTES:
        return b""
    # By pieces, because zipfile makes the whole of what it reads; bzip2 and LZMA heed no limit at all, and 4 kB of them
    # hold up to 90 MB.
    piece = info.file_size + 1 if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else 4096
    with archive.open(info) as file:
        parts = list(iter(lambda: file.read(piece), b""))
    return b"".join(parts)


# --- tar -------------------------------------------------------------------------------------------------


class _Bounded:
    """A stream of which no reader gets more than a header's worth at once, or more than ``limit`` in all."""

    def __init__(self, stream: Any, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self.tell = stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._stream.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        if place > self._limit:  # tarfile seeks from the start only
            raise tarfile.ReadError(f"a member that ends at byte {place:,}")
        return self._stream.seek(place, whence)


def _open_tar(path: Path) -> Any:
    return gzip.open(path) if _kind(path) == ".tar.gz" else path.open("rb")


def _list_tar(path: Path, limit: int) -> Iterator[tuple[_Member, bool]]:
    with _open_tar(path) as stream, tarfile.open(fileobj=cast(Any, _Bounded(stream, limit)), mode="r:") as archive:
        for m in archive:
            cast(Any, archive).members.clear()  # of which tarfile keeps every one
            if not m.isdir():
                yield _Member(m.name, m.offset_data, m.size), m.isreg() and not m.issparse()
        if not _at_end_mark(archive, limit):
            raise tarfile.ReadError("no end mark")


def _at_end_mark(archive: tarfile.TarFile, limit: int) -> bool:
    """Whether the archive ends as it should, in a block of zeros: tarfile also stops where a file is cut."""
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    mark = archive.fileobj.read(tarfile.BLOCKSIZE)
    while archive.fileobj.read(1 << 20):  # to the end, where gzip notices that it is cut
        if archive.fileobj.tell() > limit:
            raise tarfile.ReadError(f"more than {limit:,} bytes")
    return mark == bytes(tarfile.BLOCKSIZE)


def _read_tar(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for item, member in wanted:
            file.seek(member.place)
            yield item, file.read(member.size) if member.size <= MOST_BYTES else b""


def _read_tar_gz(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    if not wanted:
        return
    with gzip.open(path) as stream:  # in the order of place, so decompression only ever goes forward
        for item, member in wanted:
            if member.size > MOST_BYTES:
                yield item, b""
                continue
            stream.seek(member.place)
            yield item, stream.read(member.size)


# --- rar -------------------------------------------------------------------------------------------------


def _list_rar(path: Path, limit: int) -> Iterator[tuple[_Member, bool]]:
    libarchive = _libarchive(path)
    with libarchive.file_reader(str(path)) as archive:
        for turn, entry in enumerate(archive):
            if not entry.isdir:
                plain = entry.isfile and not entry.linkpath
                yield _Member(entry.pathname or "", turn, entry.size or 0), plain
    if not _rar_ends(path):
        raise ValueError("no end mark")


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
    data = bytearray()
    try:
        for block in entry.get_blocks():
            data += block
            if len(data) > MOST_BYTES:
                return b""
    except libarchive.exception.ArchiveError:
        return b""
    return bytes(data)


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
