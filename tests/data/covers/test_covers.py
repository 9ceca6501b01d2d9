"""Covers by item id, whatever holds them: a folder, .zip, .tar, .tar.gz or .rar, nested or not."""

import gzip
import io
import multiprocessing
import os
import pickle
import re
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.covers import Covers, find_container

COVERS = {7: b"seven", 12: b"twelve" * 1000, 3: b""}
STRANGERS = {"readme.txt": b"?", "seven.jpg": b"?", "7.jpg.part": b"?", "__MACOSX/._7.jpg": b"?"}


def files(inside: str) -> dict[str, bytes]:
    return {inside + name: data for name, data in {**{f"{i}.jpg": b for i, b in COVERS.items()}, **STRANGERS}.items()}


def write_folder(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        path = folder / "item_images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / "item_images"


def write_zip(folder: Path, contents: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "item_images.zip"
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def write_tar(folder: Path, contents: dict[str, bytes], ending: str = ".tar") -> Path:
    path = folder / f"item_images{ending}"
    with tarfile.open(path, "w:gz" if ending.endswith("gz") else "w") as archive:
        for name, data in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def write_tar_gz(folder: Path, contents: dict[str, bytes]) -> Path:
    return write_tar(folder, contents, ".tar.gz")


def write_tgz(folder: Path, contents: dict[str, bytes]) -> Path:
    return write_tar(folder, contents, ".tgz")


WRITERS = [write_folder, write_zip, write_tar, write_tar_gz, write_tgz]
ARCHIVES = WRITERS[1:]


@pytest.mark.parametrize("inside", ["", "item_images/", "item_images/item_images/"])
@pytest.mark.parametrize("write", WRITERS)
def test_every_container_gives_the_same_covers_nested_or_not(tmp_path, write, inside):
    path = write(tmp_path, files(inside))
    covers = Covers.find(tmp_path)
    assert covers.path == path
    assert covers.item_ids.tolist() == [3, 7, 12]
    assert covers.item_ids.dtype == np.int64
    assert dict(covers.read([12, 3, 7])) == COVERS
    assert covers.ignored == len(STRANGERS)
    assert covers.duplicates == {}
    assert covers.name(7) == f"{inside}7.jpg"


@pytest.mark.parametrize("write", WRITERS)
def test_an_item_without_a_cover_reads_as_none_and_each_item_comes_once(tmp_path, write):
    write(tmp_path, files(""))
    covers = Covers.find(tmp_path)
    assert list(covers.read([9, 7, 7, 8])) == [(7, b"seven"), (8, None), (9, None)]
    assert list(covers.read(np.array([], np.int64))) == []


@pytest.mark.parametrize("write", [write_zip, write_tar, write_tar_gz])
def test_an_archive_is_read_in_its_own_order(tmp_path, write):
    write(tmp_path, files(""))
    assert [item for item, _ in Covers.find(tmp_path).read([3, 7, 12])] == [7, 12, 3]


def test_a_folder_without_covers_is_an_empty_store(tmp_path):
    for covers in (Covers.find(tmp_path), Covers.find(tmp_path / "absent"), Covers(None)):
        assert len(covers) == 0
        assert covers.item_ids.dtype == np.int64
        assert list(covers.read([1])) == [(1, None)]


def test_an_empty_folder_gives_way_to_the_archive_beside_it(tmp_path):
    (tmp_path / "item_images").mkdir()
    path = write_zip(tmp_path, files(""))
    assert Covers.find(tmp_path).path == path


def test_jpeg_png_and_webp_count_in_any_case(tmp_path):
    write_folder(tmp_path, {"1.JPG": b"a", "2.jpeg": b"b", "3.png": b"c", "4.WebP": b"d", "5.gif": b"e"})
    assert dict(Covers.find(tmp_path).read([1, 2, 3, 4])) == {1: b"a", 2: b"b", 3: b"c", 4: b"d"}


@pytest.mark.parametrize("write", WRITERS)
def test_two_files_of_one_item_are_reported_and_the_shorter_name_is_used(tmp_path, write):
    write(tmp_path, {"old/7.jpg": b"old", "7.png": b"new", "7.jpg": b"first", "8.jpg": b"8"})
    covers = Covers.find(tmp_path)
    assert covers.duplicates == {7: 3}
    assert dict(covers.read([7])) == {7: b"first"}


@pytest.mark.parametrize(
    "name", ["../../5.jpg", "a/../../5.jpg", "/etc/5.jpg", "C:\\5.jpg", "..\\5.jpg", "../notes.txt"]
)
@pytest.mark.parametrize("write", ARCHIVES)
def test_an_archive_with_a_path_that_leads_out_of_it_is_refused_and_nothing_written(tmp_path, write, name):
    write(tmp_path, {"7.jpg": b"seven", name: b"five"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MmctrError, match=rf"item_images\.\w+.*'{re.escape(name)}', which names a place outside it"):
        Covers.find(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("write", ARCHIVES)
def test_an_archive_cut_short_anywhere_is_an_error_that_names_it(tmp_path, write):
    noise = np.random.default_rng(0).bytes(3000)
    path = write(tmp_path, {"1.jpg": b"one", "2.jpg": noise, "3.jpg": b"three"})
    whole = path.read_bytes()
    end = whole.rstrip(b"\0") if write is write_tar else whole  # a tar is padded with zeros
    for cut in (0, 1, 300, 511, 512, 700, 1024, 1100, 1536, 2000, len(end) - 1):
        if cut < len(end):
            path.write_bytes(whole[:cut])
            with pytest.raises(MmctrError, match=f"(?s){path.name}.*Fetch it again"):
                Covers.find(tmp_path)


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
def test_a_file_that_is_no_archive_is_an_error_that_names_it(tmp_path, ending):
    path = tmp_path / f"item_images{ending}"
    path.write_text("<html>404 Not Found</html>" * 100)
    with pytest.raises(MmctrError, match=path.name):
        Covers.find(tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "images.7z").write_bytes(b"7z")
    with pytest.raises(MmctrError, match=r"images\.7z is no place for covers.*\.zip"):
        Covers(tmp_path / "images.7z")


def test_a_damaged_member_reads_as_empty_bytes_and_the_others_as_they_are(tmp_path):
    path = write_zip(tmp_path, {"1.jpg": b"A" * 50, "2.jpg": b"B" * 50}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"A" * 50, b"C" * 50))
    assert dict(Covers.find(tmp_path).read([1, 2])) == {1: b"", 2: b"B" * 50}


def test_a_file_of_a_folder_that_cannot_be_read_is_empty_bytes_and_the_others_are_as_they_are(tmp_path):
    folder = write_folder(tmp_path, {"1.jpg": b"one"})
    (folder / "2.jpg").symlink_to("nowhere")
    assert dict(Covers.find(tmp_path).read([1, 2, 3])) == {1: b"one", 2: b"", 3: None}


def test_an_archive_from_windows_may_part_folders_by_backslashes(tmp_path):
    write_zip(tmp_path, {"item_images\\7.jpg": b"seven"})
    assert dict(Covers.find(tmp_path).read([7])) == {7: b"seven"}


@pytest.mark.parametrize("write", WRITERS)
def test_a_store_can_be_pickled_and_read_by_threads_and_forked_processes(tmp_path, write):
    write(tmp_path, files(""))
    covers = Covers.find(tmp_path)
    assert dict(covers.read([7])) == {7: b"seven"}  # opens what stays open
    assert dict(pickle.loads(pickle.dumps(covers)).read([7, 12, 3])) == COVERS
    with ThreadPoolExecutor(4) as threads:
        assert all(found == COVERS for found in threads.map(lambda _: dict(covers.read(COVERS)), range(8)))
    if sys.platform == "linux":
        queue = multiprocessing.get_context("fork").Queue()
        child = multiprocessing.get_context("fork").Process(target=lambda: queue.put(dict(covers.read(COVERS))))
        child.start()
        assert queue.get(timeout=30) == COVERS
        child.join()


def test_what_is_no_plain_file_in_a_folder_is_unreadable_and_blocks_nobody(tmp_path):
    folder = write_folder(tmp_path, {"1.jpg": b"one", "below/2.jpg": b"two"})
    (folder / "3.jpg").symlink_to("below/2.jpg")
    (folder / "4.jpg").symlink_to("/dev/zero")
    os.mkfifo(folder / "5.jpg")
    covers = Covers.find(tmp_path)
    assert dict(covers.read(range(1, 7))) == {1: b"one", 2: b"two", 3: b"two", 4: b"", 5: b"", 6: None}


def test_the_folder_itself_may_be_a_link(tmp_path):
    store = write_folder(tmp_path / "store", {"1.jpg": b"one"})
    (tmp_path / "item_images").symlink_to(store)
    covers = Covers.find(tmp_path)
    assert dict(covers.read([1])) == {1: b"one"}


def test_links_of_a_folder_are_followed_into_a_cache_to_other_folders_and_never_round_in_circles(tmp_path):
    blobs = tmp_path / "cache" / "blobs"  # as a hub keeps a dataset: names are links to contents
    images = tmp_path / "cache" / "snapshots" / "1" / "item_images"
    elsewhere = tmp_path / "larger_disk"
    for folder in (blobs, images, elsewhere):
        folder.mkdir(parents=True)
    (blobs / "af01").write_bytes(b"one")
    (elsewhere / "2.jpg").write_bytes(b"two")
    (images / "1.jpg").symlink_to("../../../blobs/af01")
    (images / "more").symlink_to(elsewhere)
    (images / "round").symlink_to(".")
    (elsewhere / "back").symlink_to(images)
    covers = Covers.find(images.parent)
    assert dict(covers.read([1, 2])) == {1: b"one", 2: b"two"}
    assert (covers.name(2), covers.ignored, covers.duplicates) == ("more/2.jpg", 0, {})
    (images / "1.jpg").unlink()
    assert find_container(images.parent) == images, "covers of linked folders alone are covers"


@pytest.mark.parametrize("write", WRITERS)
def test_what_a_mac_leaves_beside_covers_is_none(tmp_path, write):
    write(tmp_path, {"7.jpg": b"seven", "._7.jpg": b"Mac OS X", "__MACOSX/item_images/._7.jpg": b"", ".DS_Store": b""})
    covers = Covers.find(tmp_path)
    assert dict(covers.read([7])) == {7: b"seven"}
    assert (covers.ignored, covers.duplicates) == (3, {})


@pytest.mark.parametrize("write", WRITERS)
def test_a_cover_beyond_the_limit_is_unreadable_and_the_others_are_as_they_are(tmp_path, write, monkeypatch):
    write(tmp_path, {"1.jpg": b"one", "2.jpg": b"2" * 101, "3.jpg": b"3" * 100})
    covers = Covers.find(tmp_path)
    monkeypatch.setattr("mmctr_kedro.data.covers.MOST_BYTES", 100)
    assert dict(covers.read([1, 2, 3])) == {1: b"one", 2: b"", 3: b"3" * 100}


@pytest.mark.parametrize("write", ARCHIVES)
def test_more_files_than_any_catalogue_has_are_refused(tmp_path, write, monkeypatch):
    monkeypatch.setattr("mmctr_kedro.data.covers.MOST_MEMBERS", 3)
    write(tmp_path, {f"{item}.jpg": b"" for item in range(3)})
    assert len(Covers.find(tmp_path)) == 3
    write(tmp_path, {f"{item}.jpg": b"" for item in range(4)})
    with pytest.raises(MmctrError, match="more than 3 files"):
        Covers.find(tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_member_of_a_tar_that_is_no_plain_file_is_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "item_images.tar", "w") as archive:
        member = tarfile.TarInfo("7.jpg")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(MmctrError, match=r"'7\.jpg', which is a link or a device"):
        Covers.find(tmp_path)


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("7.jpg")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "item_images.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(MmctrError, match=r"'7\.jpg', which is a link or a device"):
        Covers.find(tmp_path)


@pytest.mark.parametrize("write", [write_zip, write_tar_gz])
def test_an_archive_that_expands_beyond_all_measure_is_refused(tmp_path, write):
    write(tmp_path, {f"{item}.jpg": bytes(20 << 20) for item in range(5)})
    with pytest.raises(MmctrError, match=r"holds more than .* bytes, 200 times its own size"):
        Covers.find(tmp_path)


def test_a_zip_that_declares_less_than_it_holds_gives_no_more(tmp_path):
    path = write_zip(tmp_path, {"1.jpg": bytes(10 << 20)})
    declared = (10 << 20).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(declared, (100).to_bytes(4, "little")))
    assert dict(Covers.find(tmp_path).read([1])) == {1: b""}


def test_a_header_of_a_tar_that_is_absurdly_long_is_an_error(tmp_path):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, (8 << 30) - 1
    with gzip.open(tmp_path / "item_images.tar.gz", "wb") as file:
        file.write(header.tobuf() + bytes(1 << 20))
    with pytest.raises(MmctrError, match="a header of 8,589,"):
        Covers.find(tmp_path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_packing_of_a_zip_gives_the_same_bytes(tmp_path, compression):
    noise = np.random.default_rng(0).bytes(30_000)
    write_zip(tmp_path, {"1.jpg": noise, "2.jpg": bytes(100_000)}, compression)
    assert dict(Covers.find(tmp_path).read([1, 2])) == {1: noise, 2: bytes(100_000)}


@pytest.mark.parametrize("write", ARCHIVES)
def test_a_damaged_archive_is_an_error_of_ours_or_reads_as_it_is(tmp_path, write):
    """Bytes changed at random: what the libraries raise is many things."""
    path = write(tmp_path, {f"{item}.jpg": b"%d" % item * 50 for item in range(20)})
    whole, random = path.read_bytes(), np.random.default_rng(5)
    for _ in range(150):
        broken = bytearray(whole)
        for at in random.integers(len(whole), size=3):
            broken[at] = random.integers(256)
        path.write_bytes(broken)
        said = path.name
        try:
            covers = Covers.find(tmp_path)
            assert all(len(data or b"") <= 1 << 20 for _, data in covers.read(covers.item_ids))
        except MmctrError as error:
            said = str(error)
        assert path.name in said
