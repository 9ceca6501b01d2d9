"""Files made to do harm, each with the reader it is meant for and the words that reader must refuse it with.

``large`` files are what an attacker would send; the others do the same at a size that a test can afford.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.io import AbstractDataset, DatasetError

from benchmarks.attacks.thrift import change, change_footer, read, write
from mmctr_kedro.data.challenge import PATHS, RawFolder

MIB = 1 << 20


@dataclass(frozen=True)
class Attack:
    """One file or folder, and who reads it.

    Attributes:
        make: Writes it into an empty folder; the flag asks for the large one.
        read: Reads it by the project's own code and says how it was refused, or raises MmctrError.
        expected: What the refusal must say, as a regular expression.
    """

    make: Callable[[Path, bool], None]
    read: Callable[[Path], str | None]
    expected: str


# --- covers ----------------------------------------------------------------------------------------------


def read_covers(folder: Path) -> str | None:
    """Every cover of the folder; the words are those of the store."""
    from mmctr_kedro.data.covers import Covers

    covers = Covers.find(folder)
    found = dict(covers.read(covers.item_ids))
    if covers.refused:
        return f"{len(covers)} covers; {dict(covers.refused)}"
    return "unreadable" if b"" in found.values() else None


def zeros(size: int, whole: bool = True) -> bytes:
    """``size`` zeros, a multiple of a MiB, as a raw deflate stream: one stretch of it again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    second = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + second * (size // MIB - 1) + (packer.flush() if whole else b"")


def zip_of(path: Path, members: list[tuple[str, bytes, int, int]], method: int = 8, mode: int = 0o100644) -> None:
    """A zip of (name, packed bytes, size to declare, CRC) as its parts say, whatever is true."""
    body, directory = b"", b""
    for name, packed, size, crc in members:
        wide = size > 0xFFFFFFFE
        extra = struct.pack("<HHQ", 1, 8, size) if wide else b""
        shown, raw = 0xFFFFFFFF if wide else size, name.encode()
        shared = struct.pack("<HHHHHIIIHH", 45, 0x800, method, 0, 33, crc, len(packed), shown, len(raw), len(extra))
        offset = len(body)
        local = struct.pack("<HHHHHIIIHH", 45, 0x800, method, 0, 33, crc, len(packed), shown, len(raw), 0)
        body += b"PK\3\4" + local + raw + packed
        directory += b"PK\1\2" + struct.pack("<H", 0x32D) + shared
        directory += struct.pack("<HHHII", 0, 0, 0, mode << 16, offset) + raw + extra
    end = struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(body), 0)
    path.write_bytes(body + directory + b"PK\5\6" + end)


def zip_that_declares_much(folder: Path, large: bool) -> None:
    zip_of(folder / "item_images.zip", [("7.jpg", b"\0" * 100, 10 << 30, 0)])


def zip_that_holds_much(folder: Path, large: bool) -> None:
    size = (10 << 30) if large else 100 * MIB
    zip_of(folder / "item_images.zip", [("7.jpg", zeros(size), size, 0)])


def zip_that_hides_much(folder: Path, large: bool) -> None:
    zip_of(folder / "item_images.zip", [("7.jpg", zeros((10 << 30) if large else 100 * MIB), 1000, 0)])


def zip_of_bzip2(folder: Path, large: bool) -> None:
    import bz2

    size = (2000 if large else 100) * MIB
    packed = bz2.compress(bytes(20 * MIB)) * (size // (20 * MIB))
    zip_of(folder / "item_images.zip", [("7.jpg", packed, 60 * MIB, 0)], method=12)


def zip_that_overlaps(folder: Path, large: bool) -> None:
    path = folder / "item_images.zip"
    zip_of(path, [(f"{item}.jpg", zeros(MIB), MIB, 0) for item in range(10, 20)])
    content = path.read_bytes()
    at = content.index(b"PK\1\2")
    entries = content[at:].split(b"PK\1\2")[1:]
    moved = b"".join(b"PK\1\2" + entry[:38] + struct.pack("<I", 0) + entry[42:] for entry in entries)
    path.write_bytes(content[:at] + moved)


def zip_of_absurdly_many(folder: Path, large: bool) -> None:
    entry = b"PK\1\2" + struct.pack("<HHHHHHIIIHHHHHII", 45, 45, 0, 0, 0, 33, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0) + b"1.jpg"
    count = 2_000_000 if large else 500_001
    end = struct.pack("<HHHHIIH", 0, 0, 9, 9, len(entry) * count, 0, 0)
    (folder / "item_images.zip").write_bytes(entry * count + b"PK\5\6" + end)


def zip_with_a_link(folder: Path, large: bool) -> None:
    zip_of(folder / "item_images.zip", [("7.jpg", b"/etc/passwd", 11, zlib.crc32(b"/etc/passwd"))], 0, 0o120777)


def zip_with_a_path_out(folder: Path, large: bool) -> None:
    zip_of(folder / "item_images.zip", [("../../7.jpg", b"seven", 5, zlib.crc32(b"seven"))], 0)


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, target
    return member.tobuf(tarfile.GNU_FORMAT)


def gz_zeros(size: int) -> bytes:
    return gzip.compress(bytes(16 * MIB), 9) * (size // (16 * MIB))


def tar_gz_that_holds_much(folder: Path, large: bool) -> None:
    size = (10 << 30) if large else 160 * MIB
    content = gzip.compress(header("7.jpg", size)) + gz_zeros(size) + gzip.compress(bytes(1024))
    (folder / "item_images.tar.gz").write_bytes(content)


def tar_gz_that_never_ends(folder: Path, large: bool) -> None:
    content = gzip.compress(header("7.jpg", 5) + b"seven".ljust(512, b"\0") + bytes(1024))
    (folder / "item_images.tar.gz").write_bytes(content + gz_zeros((10 << 30) if large else 160 * MIB))


def tar_gz_with_a_huge_header(folder: Path, large: bool) -> None:
    size = (8 << 30) - 1
    content = gzip.compress(header("pax", size, tarfile.XHDTYPE)) + gz_zeros((10 << 30) if large else 160 * MIB)
    (folder / "item_images.tar.gz").write_bytes(content)


def tar_with(kind: bytes, name: str = "7.jpg", target: str = "/etc/passwd") -> Callable[[Path, bool], None]:
    def make(folder: Path, large: bool) -> None:
        (folder / "item_images.tar").write_bytes(header(name, 0, kind, target) + bytes(1024))

    return make


def folder_with_a_pipe(folder: Path, large: bool) -> None:
    (folder / "item_images").mkdir()
    os.mkfifo(folder / "item_images" / "5.jpg")


def folder_with_a_link(target: str) -> Callable[[Path, bool], None]:
    def make(folder: Path, large: bool) -> None:
        (folder / "item_images").mkdir()
        (folder / "item_images" / "5.jpg").symlink_to(target)

    return make


def folder_with_a_large_cover(folder: Path, large: bool) -> None:
    (folder / "item_images").mkdir()
    with (folder / "item_images" / "5.jpg").open("wb") as file:
        file.truncate((10 << 30) if large else 65 * MIB)


# --- images ----------------------------------------------------------------------------------------------


def read_image(folder: Path) -> str | None:
    from mmctr_kedro.data.images import Refused, decode

    found = decode((folder / "5.jpg").read_bytes(), 224)
    return f"{found.kind}: {found.why}" if isinstance(found, Refused) else None


def read_images(folder: Path) -> str | None:
    """The same image many times, by as many threads as a large machine has."""
    from mmctr_kedro.data.images import decoded_batches

    covers = ((turn, (folder / "5.jpg").read_bytes()) for turn in range(16))
    found = [pixels for batch in decoded_batches(covers, 224, 8, batch_size=8, threads=16) for _, pixels in batch]
    return f"{sum(isinstance(pixels, np.ndarray) for pixels in found)} images taken"


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *extra: bytes, depth: int = 8) -> bytes:
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    rows = zlib.compress(bytes(min((width + 1) * height, 64 * MIB)), 9)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(extra) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG")
    data = buffer.getvalue()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def gif(width: int, height: int, screen: tuple[int, int]) -> bytes:
    """One frame, on a screen of another size, then a second of the same size."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + frame + frame + b";"


def tiff(width: int, height: int, strips: int = 1) -> bytes:
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 5), (262, 3, 1, 1)]
    entries += [(273, 4, strips, 8), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, strips, 0x7FFFFFFF)]
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + body + bytes(4)


def webp(width: int, height: int) -> bytes:
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    lossless = b"/" + struct.pack("<I", (width - 1) & 0x3FFF | ((height - 1) & 0x3FFF) << 14) + bytes(40)
    chunks = b"VP8X" + struct.pack("<IB3s", 10, 2, b"") + size + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    inner = b"VP8L" + struct.pack("<I", len(lossless)) + lossless + b"\0" * (len(lossless) % 2)
    frame = bytes(6) + size + bytes(4) + inner
    chunks += b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def text_bomb() -> bytes:
    return png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 * MIB), 9))


def profile_bomb() -> bytes:
    return png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(200 * MIB), 9))


def clear_png(side: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGBA", (side, side), (200, 0, 0, 99)).save(buffer, "PNG")
    return buffer.getvalue()


def image(data: Callable[[], bytes]) -> Callable[[Path, bool], None]:
    return lambda folder, large: (folder / "5.jpg").write_bytes(data()) and None


# --- parquet ---------------------------------------------------------------------------------------------

ROWS, GROUPS, GROUP_COLUMNS, GROUP_ROWS, CHUNK = 3, 4, 1, 3, 3  # field numbers of the footer
NUM_VALUES, PACKED = 5, 7


def challenge() -> dict[str, pa.Table]:
    """A small data set without mistakes."""
    from mmctr_kedro.data.challenge import SCHEMAS

    ids = [1, 2, 3]
    padded = [[0] * 63 + [item] for item in (1, 2)]
    row = {"user_id": [1, 2], "item_seq": padded, "item_id": [2, 3], "likes_level": [1, 2], "views_level": [1, 2]}
    columns = {
        **{split: {**row, "label": [0, 1]} for split in ("train", "valid")},
        "test": {**row, "ID": [0, 1]},
        "item_info": {
            "item_id": [0, *ids],
            "item_tags": [[0] * 5] * 4,
            "item_emb_d128": [np.full(128, item / 4) for item in [0, *ids]],
        },
        "item_feature": {
            "item_id": ids,
            "item_title": ["fox", "owl", "whale"],
            "item_tags": [[]] * 3,
            "likes_level": ids,
            "views_level": ids,
            "txt_emb_BERT": [np.full(768, item) for item in ids],
            "img_emb_CLIPRN50": [np.full(1024, item) for item in ids],
        },
    }
    return {
        name: pa.table([pa.array(of[field.name], field.type) for field in SCHEMAS[name]], SCHEMAS[name])
        for name, of in columns.items()
    }


def read_challenge(folder: Path) -> str | None:
    from mmctr_kedro.common.params import ProcessingParams, SourceParams
    from mmctr_kedro.data.processing.raw_files import describe
    from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files

    raw = RawFolder(folder)
    process_raw_files(ProcessingParams(), describe(SourceParams(name="challenge_files"), raw), raw)
    return None


def read_features(folder: Path) -> str | None:
    from mmctr_kedro.encoders.item_feature import item_feature_vectors

    item_feature_vectors(RawFolder(folder), "text")
    return None


def parquet(name: str, spoil: Callable[[Path, bool], None] | None = None, **tables: Callable[[bool], pa.Table]):
    """The data set with one file spoilt, or made of another table."""

    def make(folder: Path, large: bool) -> None:
        for each, table in challenge().items():
            path = folder / PATHS[each]
            path.parent.mkdir(exist_ok=True)
            table = tables[each](large) if each in tables else table
            pq.write_table(table, path, compression="zstd")
            del table
        if spoil:
            spoil(folder / PATHS[name], large)

    return make


def footer(*changes: tuple[list[int], int]) -> Callable[[Path, bool], None]:
    return lambda path, large: change_footer(path, *changes)


def long_history(large: bool) -> pa.Table:
    """One history of absurdly many equal clicks, which is a kilobyte on disk."""
    count = 400_000_000 if large else 30_000_000
    table = challenge()["train"]
    lists = pa.LargeListArray.from_arrays(pa.array([0, count, count + 1]), pa.array(np.ones(count + 1, np.int8)))
    # int8 keeps the maker small; on disk it is INT32, and so it is when it is read
    return table.set_column(1, "item_seq", lists)


def hidden_history(path: Path, large: bool) -> None:
    """The footer says two values, the page has what it has."""
    change_footer(path, ([GROUPS, 0, GROUP_COLUMNS, 1, CHUNK, NUM_VALUES], 2))


def absurd_page(path: Path, large: bool) -> None:
    """The first page claims to hold 2 GB and 2 billion values."""
    content = path.read_bytes()
    page, end = read(content, 4)
    change(page, [2], 0x7FFFFFFF)
    changed = write(page)
    (length,) = struct.unpack("<I", content[-8:-4])
    grown = len(changed) - (end - 4)
    path.write_bytes(content[:4] + changed + content[end:])
    about, _ = read(content, len(content) - 8 - length)
    chunk = about[GROUPS][1][1][0][GROUP_COLUMNS][1][1]
    # every later page has moved by as much
    changes: list = [([GROUPS, 0, GROUP_COLUMNS, 0, CHUNK, PACKED], chunk[0][CHUNK][1][PACKED][1] + grown)]
    for place, each in enumerate(chunk):
        for field in (9, 11):
            if field in each[CHUNK][1] and each[CHUNK][1][field][1] > 4:
                where = [GROUPS, 0, GROUP_COLUMNS, place, CHUNK, field]
                changes.append((where, each[CHUNK][1][field][1] + grown))
    change_footer(path, *changes)


def long_footer(path: Path, large: bool) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-8] + struct.pack("<I", 0x7FFFFFFF) + b"PAR1")


def footer_of_text(path: Path, large: bool) -> None:
    pq.write_table(challenge()["train"].replace_schema_metadata({"x": "y" * 40 * MIB}), path)


# --- logs of interactions --------------------------------------------------------------------------------


def read_log(folder: Path) -> str | None:
    from mmctr_kedro.common.params import InteractionLogParams
    from mmctr_kedro.pipelines.import_log.nodes import import_log

    import_log(InteractionLogParams(), RawFolder(folder), RawFolder(folder / "out"))
    return None


def log(content: bytes, size: int = 0) -> Callable[[Path, bool], None]:
    """A log of these bytes; the large one goes on with zeros, which take no room on disk."""

    def make(folder: Path, large: bool) -> None:
        (folder / "items.csv").write_text("item,title,tags\n1,one,a\n")
        with (folder / "interactions.csv").open("wb") as file:
            file.write(content)
            if large and size:
                file.truncate(size)

    return make


# --- arrays and weights ----------------------------------------------------------------------------------


class Program:
    """Pickles as a call that leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


def loaded(dataset: AbstractDataset) -> None:
    """Load as a run does, with the error that Kedro wraps."""
    try:
        dataset.load()
    except DatasetError as error:
        raise error.__cause__ or error from None


def read_array(folder: Path) -> str | None:
    from mmctr_kedro.datasets.npy import NpyDataset

    return loaded(NpyDataset(filepath=str(folder / "a.npy")))


def npy(shape: tuple[int, ...]) -> Callable[[Path, bool], None]:
    def make(folder: Path, large: bool) -> None:
        with (folder / "a.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
            file.write(bytes(64))

    return make


def npy_of_objects(folder: Path, large: bool) -> None:
    np.save(folder / "a.npy", np.array([Program(folder / "ran")], dtype=object), allow_pickle=True)


def read_ctr_model(folder: Path) -> str | None:
    from mmctr_kedro.datasets.ctr_model import CtrModelDataset

    return loaded(CtrModelDataset(filepath=str(folder / "ctr_model.safetensors")))


def safetensors(header: bytes | dict, length: int | None = None) -> Callable[[Path, bool], None]:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()

    def make(folder: Path, large: bool) -> None:
        size = len(text) if length is None else length
        (folder / "ctr_model.safetensors").write_bytes(struct.pack("<Q", size) + text + bytes(64))

    return make


def pickled_model(folder: Path, large: bool) -> None:
    (folder / "ctr_model.safetensors").write_bytes(pickle.dumps(Program(folder / "ran")))


def read_checkpoint(folder: Path) -> str | None:
    from mmctr_kedro.training.checkpoints import Checkpoints

    return "training starts afresh" if Checkpoints(folder / "checkpoint.pt").load({}) is None else None


def pickled_checkpoint(folder: Path, large: bool) -> None:
    import torch

    torch.save({"fingerprint": {}, "state": Program(folder / "ran")}, folder / "checkpoint.pt")


def read_encoder(folder: Path) -> str | None:
    from mmctr_kedro.common.params import SentenceTransformerParams
    from mmctr_kedro.encoders.sentence_transformer import load

    load(SentenceTransformerParams(model=str(folder / "model"), device="cpu"), "text")
    return None


def encoder(**files: bytes) -> Callable[[Path, bool], None]:
    def make(folder: Path, large: bool) -> None:
        (folder / "model").mkdir()
        for name, content in files.items():
            (folder / "model" / name.replace("__", ".")).write_bytes(content)

    return make


def pickled_encoder(folder: Path, large: bool) -> None:
    content = {"config__json": b'{"model_type": "bert"}', "pytorch_model__bin": pickle.dumps(Program(folder / "ran"))}
    encoder(**content)(folder, large)


def encoder_with_code(folder: Path, large: bool) -> None:
    code = f"import os\nos.system(\"touch '{folder / 'ran'}'\")\n".encode()
    modules = b'[{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}]'
    encoder(modules__json=modules, evil__py=code)(folder, large)


def encoder_with_auto_map(folder: Path, large: bool) -> None:
    code = f"import os\nos.system(\"touch '{folder / 'ran'}'\")\n".encode()
    encoder(config__json=b'{"model_type": "x", "auto_map": {"AutoModel": "evil.Evil"}}', evil__py=code)(folder, large)


ATTACKS: dict[str, Attack] = {
    "zip that declares 10 GB": Attack(zip_that_declares_much, read_covers, "holds more than .* bytes, 200 times"),
    "zip that holds 10 GB": Attack(zip_that_holds_much, read_covers, "holds more than .* bytes, 200 times|unreadable"),
    "zip that hides 10 GB": Attack(zip_that_hides_much, read_covers, "unreadable"),
    "zip of bzip2 that hides 2 GB": Attack(zip_of_bzip2, read_covers, "unreadable|200 times"),
    "zip whose members overlap": Attack(zip_that_overlaps, read_covers, "whose bytes overlap"),
    "zip of absurdly many": Attack(zip_of_absurdly_many, read_covers, "more than 500,000 files"),
    "zip with a link": Attack(zip_with_a_link, read_covers, "'7.jpg', which is a link"),
    "zip with a path out of it": Attack(zip_with_a_path_out, read_covers, "names a place outside it"),
    "tar.gz that holds 10 GB": Attack(tar_gz_that_holds_much, read_covers, "holds more than .* bytes, 200 times"),
    "tar.gz that goes on for 10 GB": Attack(tar_gz_that_never_ends, read_covers, "more than .* bytes"),
    "tar.gz with a header of 8 GB": Attack(tar_gz_with_a_huge_header, read_covers, "a header of 8,589,9"),
    "tar with a link": Attack(tar_with(tarfile.SYMTYPE), read_covers, "'7.jpg', which is a link"),
    "tar with a hard link": Attack(tar_with(tarfile.LNKTYPE), read_covers, "'7.jpg', which is a link"),
    "tar with a device": Attack(tar_with(tarfile.CHRTYPE), read_covers, "'7.jpg', which is a link or a device"),
    "tar with a pipe": Attack(tar_with(tarfile.FIFOTYPE), read_covers, "'7.jpg', which is a link or a device"),
    "tar with a path out of it": Attack(tar_with(tarfile.REGTYPE, "../7.jpg"), read_covers, "a place outside it"),
    "tar with an absolute path": Attack(tar_with(tarfile.REGTYPE, "/tmp/7.jpg"), read_covers, "a place outside it"),
    "folder with a pipe": Attack(folder_with_a_pipe, read_covers, "0 covers; .*a pipe"),
    "folder with a link to /dev/zero": Attack(folder_with_a_link("/dev/zero"), read_covers, "0 covers; .*leads out"),
    "folder with a link out of it": Attack(folder_with_a_link("../../../etc"), read_covers, "0 covers; .*leads out"),
    "folder with a cover of 10 GB": Attack(folder_with_a_large_cover, read_covers, "unreadable"),
    "gigapixel png": Attack(image(lambda: png(100_000, 100_000)), read_image, "pixels"),
    "gigapixel jpeg": Attack(image(lambda: jpeg(65_000, 65_000)), read_image, "pixels"),
    "gigapixel gif": Attack(image(lambda: gif(65_535, 65_535, (65_535, 65_535))), read_image, "pixels"),
    "gif whose frame outgrows its screen": Attack(
        image(lambda: gif(65_535, 65_535, (10, 10))), read_image, "pixels|unreadable"
    ),
    "gigapixel tiff": Attack(image(lambda: tiff(100_000, 100_000)), read_image, "pixels"),
    "tiff with absurd strips": Attack(image(lambda: tiff(5_000, 5_000, 0x0FFFFFFF)), read_image, "unreadable"),
    "gigapixel webp": Attack(image(lambda: webp(16_383, 16_383)), read_image, "pixels|unreadable"),
    "gigapixel bmp": Attack(image(lambda: bmp(100_000, 100_000)), read_image, "pixels"),
    "16 clear images of 49 megapixels, which are taken": Attack(
        lambda folder, large: image(lambda: clear_png(7000 if large else 2100))(folder, large),
        read_images,
        "16 images taken",
    ),
    "png with 200 MB of text": Attack(image(lambda: png(64, 64, text_bomb())), read_image, "unreadable: ValueError"),
    "parquet of 2^60 rows": Attack(
        parquet("train", footer(([ROWS], 1 << 60), ([GROUPS, 0, GROUP_ROWS], 1 << 60))), read_challenge, "train.parquet"
    ),
    "parquet whose row groups disagree": Attack(
        parquet("train", footer(([ROWS], 3))), read_challenge, "footer says 3 rows, its row groups have 2"
    ),
    "parquet of negative rows": Attack(
        parquet("valid", footer(([ROWS], -5))), read_challenge, "valid.parquet: .*footer says -5 rows"
    ),
    "parquet that claims 2^60 values": Attack(
        parquet("train", footer(([GROUPS, 0, GROUP_COLUMNS, 1, CHUNK, NUM_VALUES], 1 << 60))),
        read_challenge,
        r"train.parquet: .*item_seq.* says it has 9,223,372,\S* bytes",
    ),
    "parquet that claims a chunk of 2^40 bytes": Attack(
        parquet("train", footer(([GROUPS, 0, GROUP_COLUMNS, 0, CHUNK, PACKED], 1 << 40))),
        read_challenge,
        "pages that cannot be followed",
    ),
    "parquet with a page of 2 GB": Attack(parquet("train", absurd_page), read_challenge, "bytes once decoded"),
    "parquet with a list of 400 million": Attack(
        parquet("train", train=long_history), read_challenge, "train.parquet: .*bytes"
    ),
    "parquet that hides a list of 400 million": Attack(
        parquet("train", hidden_history, train=long_history), read_challenge, "2 values, its pages say"
    ),
    "parquet with a footer of 2 GB": Attack(parquet("train", long_footer), read_challenge, "cannot be read as parquet"),
    "parquet with 40 MB of text in its footer": Attack(
        parquet("train", footer_of_text), read_challenge, "cannot be read as parquet"
    ),
    "item_feature of 2^60 rows": Attack(
        parquet("item_feature", footer(([ROWS], 1 << 60), ([GROUPS, 0, GROUP_ROWS], 1 << 60))),
        read_features,
        "item_feature.parquet",
    ),
    "log with a line of 10 GB": Attack(
        log(b"user,item,timestamp\n1,2,3\n1," + b"2" * 2 * MIB, 10 << 30), read_log, "interactions.csv"
    ),
    "log whose header is 10 GB": Attack(log(b"u" * 2 * MIB, 10 << 30), read_log, "field larger than field limit"),
    "log with a value without end": Attack(
        log(b'user,item,timestamp\n1,"' + b"2\n" * 2 * MIB), read_log, "interactions.csv"
    ),
    "log of 400,000 columns": Attack(
        log(b"user,item,timestamp," + b"a," * 400_000 + b"\n"), read_log, "no interactions below its header"
    ),
    "log with NUL characters": Attack(log(b"user,item,timestamp\n1,2,3\n1,2\0,3\n"), read_log, "expected an id"),
    "npy that claims 8 PB": Attack(npy((1 << 50,)), read_array, "cannot be read as a .npy array"),
    "npy that claims a negative shape": Attack(npy((-1, 8)), read_array, "cannot be read as a .npy array"),
    "npy of pickled objects": Attack(npy_of_objects, read_array, "cannot be read as a .npy array"),
    "safetensors with a header of 2^60 bytes": Attack(safetensors(b"{}", 1 << 60), read_ctr_model, "not a CTR model"),
    "safetensors that claims 2^50 numbers": Attack(
        safetensors({"w": {"dtype": "F32", "shape": [1 << 50], "data_offsets": [0, 1 << 52]}}),
        read_ctr_model,
        "not a CTR model",
    ),
    "safetensors whose numbers overlap": Attack(
        safetensors({name: {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]} for name in "ab"}),
        read_ctr_model,
        "not a CTR model",
    ),
    "pickle named as safetensors": Attack(pickled_model, read_ctr_model, "not a CTR model"),
    "checkpoint that is a program": Attack(pickled_checkpoint, read_checkpoint, "training starts afresh"),
    "encoder of pickled weights": Attack(pickled_encoder, read_encoder, "holds weights as .bin only"),
    "encoder with a class of its own": Attack(encoder_with_code, read_encoder, "evil.Evil .modules.json"),
    "encoder with auto_map": Attack(encoder_with_auto_map, read_encoder, "auto_map .config.json"),
}
