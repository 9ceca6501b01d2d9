"""Covers in a .rar: read through the extra, and what to do without it."""

import struct
import sys
import zlib

import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.covers import Covers


def vint(number: int) -> bytes:
    """RAR5's variable-length integer: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def block(*fields: bytes) -> bytes:
    body = b"".join(fields)
    sized = vint(len(body)) + body
    return struct.pack("<I", zlib.crc32(sized)) + sized


def stored(name: str, data: bytes) -> bytes:
    """A RAR5 file entry kept as it is: block type 2 with a data area, a CRC32, method 0, host unix."""
    path = name.encode()
    head = [vint(2), vint(2), vint(len(data)), vint(4), vint(len(data)), vint(0o100644)]
    return block(*head, struct.pack("<I", zlib.crc32(data)), vint(0), vint(1), vint(len(path)), path) + data


def rar(contents: dict[str, bytes]) -> bytes:
    """A RAR5 archive of stored files: signature, main header, entries, end."""
    parts = [stored(name, data) for name, data in contents.items()]
    return (
        b"Rar!\x1a\x07\x01\x00" + block(vint(1), vint(0), vint(0)) + b"".join(parts) + block(vint(5), vint(0), vint(0))
    )


@pytest.fixture
def path(tmp_path):
    contents = {
        "item_images/7.jpg": b"seven",
        "item_images/notes.txt": b"?",
        "item_images/12.jpg": b"twelve" * 1000,
    }
    path = tmp_path / "item_images.rar"
    path.write_bytes(rar(contents))
    return path


def need_libarchive() -> None:
    try:
        import libarchive  # noqa: F401
    except (ImportError, TypeError, OSError):  # a TypeError is how libarchive-c misses the system's library
        pytest.skip("the system's libarchive is not installed")


def test_without_the_extra_the_error_says_how_to_unpack_and_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "libarchive", None)
    with pytest.raises(
        MmctrError,
        match=r"item_images\.rar.*unar item_images\.rar.*unrar x.*pip install -c requirements\.lock libarchive-c",
    ):
        Covers.find(path.parent)


def test_a_rar_is_read_without_unpacking(path):
    need_libarchive()
    covers = Covers.find(path.parent)
    assert covers.item_ids.tolist() == [7, 12]
    assert covers.ignored == 1
    assert list(covers.read([12, 9, 7])) == [(7, b"seven"), (12, b"twelve" * 1000), (9, None)]
    assert list(covers.read([])) == []
    assert [p.name for p in path.parent.iterdir()] == ["item_images.rar"]


def test_a_rar_cut_short_is_an_error_that_names_it(path):
    need_libarchive()
    whole = path.read_bytes()
    for cut in (0, 5, 40, 1000, 3000):
        path.write_bytes(whole[:cut])
        with pytest.raises(MmctrError, match=r"item_images\.rar"):
            Covers.find(path.parent)


def test_a_cover_of_a_rar_beyond_the_limit_is_unreadable(path, monkeypatch):
    need_libarchive()
    covers = Covers.find(path.parent)
    monkeypatch.setattr("mmctr_kedro.data.covers.MOST_BYTES", 100)
    assert dict(covers.read([7, 12])) == {7: b"seven", 12: b""}


def test_a_rar_with_a_path_that_leads_out_of_it_is_refused(path):
    need_libarchive()
    path.write_bytes(rar({"../../7.jpg": b"seven"}))
    with pytest.raises(MmctrError, match=r"item_images\.rar.*names a place outside it"):
        Covers.find(path.parent)
