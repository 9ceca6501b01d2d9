"""The cover images of a raw folder by item id, read in place from a folder or an archive.

Bytes only: decoding an image, and saying what a bad one is worth, is the encoders' business.

What others packed is not trusted: an archive is read, never unpacked, and refused where a member is no plain file, lies
outside the archive, or expands beyond all measure. A folder is its owner's, and links in it are followed. One cover is
``MOST_BYTES`` at the most.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import CONTAINERS, COVERS

MOST_BYTES = 64 << 20  # of one cover: 50 million pixels as a good JPEG are 25 MB; larger reads as unreadable
MOST_MEMBERS = 500_000  # of one container: five times the challenge's covers; an index entry takes some 300 bytes
MOST_EXPANSION = 200  # pictures are compressed already, so that an archive of them hardly shrinks: beyond is a bomb

_COVER_NAME = re.compile(r"(?:.*[/\\])?(\d{1,19})\.(?:jpg|jpeg|png|webp)", re.IGNORECASE | re.DOTALL)


class _Member(NamedTuple):
    name: str  # path inside the container
    place: int  # where its bytes begin, or its turn in a container that can only be read from the start
    size: int  # bytes; 0 where only reading tells
    plain: bool = True  # a file, and no link or device


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
        self._kind = _kind(self.path)
        self.ignored = 0
        claims: dict[int, list[_Member]] = defaultdict(list)
        for member in self._list():
            if (match := _COVER_NAME.fullmatch(member.name)) and int(match[1]) < 1 << 63:
                claims[int(match[1])].append(member)
            else:
                self.ignored += 1
        self.item_ids = np.array(sorted(claims), dtype=np.int64)
        self.duplicates = {item: len(claims[item]) for item in self.item_ids.tolist() if len(claims[item]) > 1}
        self._members = {
            item: min(members, key=lambda member: (len(member.name), member.name)) for item, members in claims.items()
        }

    @classmethod
    def find(cls, folder: Path | str) -> Covers:
        """The covers in a raw folder, wherever ``find_container`` finds them."""
        return cls(find_container(folder))

    def __len__(self) -> int:
        return len(self.item_ids)

    @property
    def anywhere(self) -> bool:
        """Whether any cover can be read without those before it."""
        return self._kind not in (".tar.gz", ".rar")

    def name(self, item_id: int) -> str:
        """The path of an item's cover inside the container. KeyError where it has none."""
        return self._members[item_id].name

    def read(self, item_ids: Iterable[int] | np.ndarray) -> Iterator[tuple[int, bytes | None]]:
        """Each distinct item of ``item_ids`` once, with its file's bytes, or None where it has no cover.

        The order is the container's own (a folder: ascending ids), which is the quick one, then the items
        without a cover, ascending. One cover is in memory at a time. A cover that the container holds but
        cannot give back (a wrong checksum in a .zip, a link to nowhere, more than ``MOST_BYTES``) comes as empty
        bytes: it is there, and unreadable.
        Folders, .zip and .tar go straight to what is asked for; .tar.gz and .rar are read from their start
        at every call, and a .zip's list of members is, so ask for many items at once.
        """
        asked = np.unique(np.fromiter(item_ids, np.int64))
        wanted = [(item, self._members[item]) for item in np.intersect1d(asked, self.item_ids).tolist()]
        if wanted and self.path is not None:
            wanted.sort(key=lambda found: found[1].place)
            with _errors_that_name(self.path, self._kind):
                yield from _READERS[self._kind](self.path, wanted)
        for item in np.setdiff1d(asked, self.item_ids).tolist():
            yield item, None

    def _list(self) -> Iterator[_Member]:
        """Every file in the container, once it is known to do no harm."""
        path = self.path
        if path is None:
            return
        if self._kind == "":
            yield from (_Member(name, 0, 0) for name in files_below(path))
            return
        limit = MOST_BYTES + MOST_EXPANSION * path.stat().st_size
        inside = 0
        with _errors_that_name(path, self._kind):
            for turn, member in enumerate(_LISTS[self._kind](path)):
                inside += member.size
                parts, refused = re.split(r"[/\\]", member.name), ""
                if turn == MOST_MEMBERS:
                    refused = f"more than {MOST_MEMBERS:,} files"
                elif inside > limit:
                    refused = f"more than {limit:,} bytes, {MOST_EXPANSION} times its own size"
                elif not member.plain:
                    refused = f"'{member.name[:200]}', which is a link or a device, and no plain file"
                elif ".." in parts or parts[0].endswith(":") or (parts[0] == "" and len(parts) > 1):
                    refused = f"'{member.name[:200]}', which names a place outside it"
                if refused:
                    raise MmctrError(
                        f"{path} holds {refused}. Covers come as plain files in one folder, or in an archive of "
                        "nothing else, and nothing of this one was read. Pack the pictures anew, without links and "
                        "with paths below the folder that holds them."
                    )
                yield member


def find_container(folder: Path | str) -> Path | None:
    """The covers in a raw folder: ``item_images/`` or ``item_images.zip|tar|tar.gz|tgz|rar``, or none.

    A folder without any cover in it (a download in progress, say) gives way to an archive beside it.
    """
    paths = [path for end in CONTAINERS if (path := Path(folder) / f"{COVERS}{end}").exists()]
    for path in paths:
        if path.is_file() or any(map(_COVER_NAME.fullmatch, files_below(path))):
            return path
    return paths[-1] if paths else None


def files_below(path: Path) -> Iterator[str]:
    """Every file below a folder, as its path in it. Links are followed wherever they lead: a folder is its owner's."""
    seen = set()
    for folder, folders, names in os.walk(path, followlinks=True):
        folders.sort()
        if (real := os.path.realpath(folder)) in seen:  # round in a circle, or a second way to one folder
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(folder, name).relative_to(path).as_posix() for name in names)


def _kind(path: Path | None) -> str:
    """The container's entry of ``CONTAINERS``, .tgz as .tar.gz."""
    if path is None or path.is_dir():
        return ""
    kind = next((end for end in CONTAINERS[1:] if path.name.lower().endswith(end)), None)
    if kind is None or not path.is_file():
        known = ", ".join(CONTAINERS[1:])
        raise MmctrError(f"{path} is no place for covers: expected a folder or a file ending in {known}.")
    return ".tar.gz" if kind == ".tgz" else kind


@contextmanager
def _errors_that_name(path: Path, kind: str) -> Iterator[None]:
    """On damaged bytes the libraries raise nearly anything: say which archive it was, and what to do."""
    try:
        yield
    except MmctrError:
        raise
    except Exception as error:
        raise MmctrError(
            f"{path} cannot be read as a {kind} archive ({error}): cut short or not such a file. "
            f"Fetch it again, or unpack what there is into {path.parent / COVERS}/ and remove it."
        ) from error


def _read_folder(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    for item, member in wanted:
        file = path / member.name
        try:
            fits = file.is_file() and file.stat().st_size <= MOST_BYTES
            yield item, file.read_bytes() if fits else b""
        except OSError:  # no permission, a bad disk
            yield item, b""


def _list_zip(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            plain = kind in (0, stat.S_IFREG) or info.create_system != 3  # 3: Unix, which alone has modes
            if not info.is_dir():
                yield _Member(info.filename, info.header_offset, info.file_size, plain)


def _read_zip(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    with zipfile.ZipFile(path) as archive:
        infos = {info.header_offset: info for info in archive.infolist()}
        for item, member in wanted:
            info = infos[member.place]
            data = b""
            try:
                if info.file_size <= MOST_BYTES:
                    with archive.open(info) as file:
                        # In pieces: bzip2 and LZMA unpack all that they are handed, and 4 kB hold up to 90 MB.
                        data = b"".join(iter(partial(file.read, 4096), b""))
            except Exception:  # damaged, encrypted, or packed in a way zipfile does not know: it raises nearly anything
                data = b""
            yield item, data


class _Gzip(gzip.GzipFile):
    """One of which nobody reads absurdly much at once, as tarfile does of a header that says it is so long."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MOST_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return super().read(size)


def _open_tar(path: Path) -> Any:
    return path.open("rb") if _kind(path) == ".tar" else _Gzip(path)


def _list_tar(path: Path) -> Iterator[_Member]:
    with _open_tar(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # of which tarfile keeps every one
            if not info.isdir():
                yield _Member(info.name, info.offset_data, info.size, info.isreg() and not info.issparse())
        # tarfile takes a cut between members for the end, and gzip checks nothing before its own end is read.
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("no end mark")
        while stream.read(1 << 20):
            pass


def _read_tar(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    with _open_tar(path) as stream:  # in the order of place, so that decompression only ever goes forward
        for item, member in wanted:
            data = b""
            if member.size <= MOST_BYTES:
                stream.seek(member.place)
                data = stream.read(member.size)
            yield item, data


def _rar(path: Path) -> Iterator[tuple[_Member, Any]]:
    """Every member with libarchive's entry, whose bytes can be had until the next one comes."""
    try:
        import libarchive
    except (ImportError, AttributeError, TypeError, OSError) as error:  # the package, or the C library below it
        raise MmctrError(
            f"{path} is a .rar archive, which needs a program or a package ({error}). Either unpack it: "
            f"cd {path.parent} && unar {path.name} (or: unrar x {path.name}), then remove it. Or: "
            "pip install -c requirements.lock libarchive-c (it uses the system's libarchive: "
            "apt install libarchive13, brew install libarchive)."
        ) from error
    turn = None
    with libarchive.file_reader(str(path)) as archive:
        for turn, entry in enumerate(archive):
            if not entry.isdir:
                yield _Member(entry.pathname or "", turn, entry.size or 0, entry.isfile and not entry.linkpath), entry
    if turn is None:  # libarchive takes a cut between members for the end
        raise ValueError("nothing in it")


def _list_rar(path: Path) -> Iterator[_Member]:
    return (member for member, _ in _rar(path))


def _read_rar(path: Path, wanted: list[tuple[int, _Member]]) -> Iterator[tuple[int, bytes]]:
    items = {member.place: item for item, member in wanted}
    for member, entry in _rar(path):
        if member.place in items:
            data = bytearray()
            try:
                for block in entry.get_blocks():
                    data += block
                    if len(data) > MOST_BYTES:
                        break
            except Exception:  # damaged or encrypted
                data.clear()
            yield items.pop(member.place), bytes(data) if len(data) <= MOST_BYTES else b""
        if not items:
            return


_LISTS = {".zip": _list_zip, ".tar": _list_tar, ".tar.gz": _list_tar, ".rar": _list_rar}
_READERS = {"": _read_folder, ".zip": _read_zip, ".tar": _read_tar, ".tar.gz": _read_tar, ".rar": _read_rar}
