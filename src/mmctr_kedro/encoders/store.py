"""Encoded items on disk, found again by what was encoded and by what encoded it.

Below the store lies one folder per encoder: ``encoder.json`` says which, ``manifest.jsonl`` lists the shards that
count, a line each, and a shard holds the content keys and vectors of some items. A shard is written whole, under
another name, before the manifest names it, with its size and digest; a file that no line names, or that is not what
its line says, is never read. So a killed run loses the shard it was at, and two runs at once add to each other.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from mmctr_kedro.common.files import atomic_write

logger = logging.getLogger(__name__)

SHARD_ROWS = 2048
SHARD_SECONDS = 30.0  # of work that a kill may cost
KEY_BYTES = 16

Entry = dict[str, Any]  # a line of the manifest: name, rows, width, bytes, digest


def content_key(*parts: bytes) -> bytes:
    """What an item is known by: hexadecimal, the same for the same content, wherever it comes from."""
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest().encode()


class VectorStore:
    """A folder of encoded items; the store object nodes get from the catalog."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def shards(self, identity: dict[str, Any]) -> Shards:
        """What an encoder has encoded so far.

        Args:
            identity: All that decides its vectors; plain JSON, with the key ``encoder``.
        """
        fingerprint = content_key(json.dumps(identity, sort_keys=True).encode()).decode()[:12]
        return Shards(self.path / f"{identity['encoder']}-{fingerprint}", identity)


class Shards:
    """The shards of one encoder.

    Attributes:
        places: By content key, the shard and the row of its vector.
        width: Numbers of a vector; None while nothing is encoded.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder, self._identity = folder, identity
        self.places: dict[bytes, tuple[int, int]] = {}
        self.width: int | None = None
        self._files: list[Path] = []
        self._keys: list[bytes] = []
        self._vectors: list[np.ndarray] = []
        self._rows, self._since = 0, time.monotonic()
        for entry in self._manifest():
            self._count_in(entry)

    def __enter__(self) -> Shards:
        self._since = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()  # also after an error: what is encoded is encoded

    def add(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Take in ``[n, width]`` float32; on disk once a shard is full or ``SHARD_SECONDS`` old."""
        self._keys += keys
        self._vectors.append(vectors)
        self._rows += len(keys)
        if self._rows >= SHARD_ROWS or time.monotonic() - self._since >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was added since the last shard."""
        if self._rows:
            self.note(write_shard(self.folder, self._keys, np.concatenate(self._vectors)))
        self._keys, self._vectors, self._rows, self._since = [], [], 0, time.monotonic()

    def note(self, entry: Entry) -> None:
        """Add a written shard to the manifest."""
        if not (self.folder / "encoder.json").is_file():
            with atomic_write(self.folder / "encoder.json") as path:
                path.write_text(json.dumps(self._identity, indent=1) + "\n")
        line = (json.dumps(entry) + "\n").encode()
        # One write at the end of the file, which no other process can come between.
        descriptor = os.open(self.folder / "manifest.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a kill; its line is lost, not the next
            os.write(descriptor, b"\n" + line if torn else line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._count_in(entry)

    def collect(self, keys: Sequence[bytes | None]) -> np.ndarray:
        """The vectors of N items by their content keys: ``[N + 1, width]`` float32 on disk, not in memory.

        Row 0, and the row of an item whose key is None or was never encoded, is zeros. A shard is in memory at a time.
        """
        found = [self.places.get(key) if key is not None else None for key in keys]
        shard, row = np.array([place or (-1, 0) for place in found], dtype=np.int64).reshape(-1, 2).T
        shape = (len(keys) + 1, self.width or 0)
        if not self.width:
            return np.zeros(shape, dtype=np.float32)
        with TemporaryFile(dir=self.folder) as file:  # without a name: gone with the last reader
            vectors = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
        for turn, path in enumerate(self._files):
            wanted = np.flatnonzero(shard == turn)
            if len(wanted):
                vectors[1 + wanted] = np.load(path, allow_pickle=False)["vectors"][row[wanted]]
        return vectors

    def _manifest(self) -> list[Entry]:
        """Entries whose shard is there and is what they say."""
        path = self.folder / "manifest.jsonl"
        lines = path.read_bytes().splitlines() if path.is_file() else []
        found = [self._entry(line) for line in lines if line]
        entries = [entry for entry in found if entry is not None]
        named = {entry["name"] for entry in entries}
        if lost := [shard.name for shard in self.folder.glob("*.npz") if shard.name not in named]:
            logger.warning(
                "%s: no sound line of manifest.jsonl names %d shard(s), such as %s; their items will be encoded again",
                self.folder, len(lost), min(lost),
            )  # fmt: skip
        return entries

    def _entry(self, line: bytes) -> Entry | None:
        """What a line of the manifest says, if that is still so."""
        try:
            entry = json.loads(line)
            shard = self.folder / entry["name"]
            sound = shard.parent == self.folder and _stamp(shard).items() <= entry.items()
            if sound and (entry["rows"], entry["width"]) == _shape(shard):
                return entry
        except (ValueError, KeyError, TypeError, AttributeError, OSError):  # a kill cut it off, or the shard is gone
            pass
        logger.warning("%s: a line of manifest.jsonl or its shard is damaged or gone: %s", self.folder, line[:200])
        return None

    def _count_in(self, entry: Entry) -> None:
        path = self.folder / entry["name"]
        with np.load(path, allow_pickle=False) as shard:
            keys = shard["keys"].tolist()
        self.width = entry["width"]
        self._files.append(path)
        self.places.update((key, (len(self._files) - 1, row)) for row, key in enumerate(keys))


def write_shard(folder: Path, keys: Sequence[bytes], vectors: np.ndarray) -> Entry:
    """Write ``[n, width]`` vectors as one shard, which counts once noted; workers write, the driver notes."""
    names = np.array(keys, dtype=f"S{2 * KEY_BYTES}")
    path = folder / f"{content_key(*keys).decode()}.npz"
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, keys=names, vectors=np.asarray(vectors, dtype=np.float32))
    return {"name": path.name, "rows": len(keys), "width": vectors.shape[1], **_stamp(path)}


def _stamp(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "digest": hashlib.file_digest(file, "sha256").hexdigest()}


def _shape(path: Path) -> tuple[int, ...]:
    """Rows and width of a shard's vectors, from their header."""
    with zipfile.ZipFile(path) as archive, archive.open("vectors.npy") as file:
        np.lib.format.read_magic(file)
        return np.lib.format.read_array_header_1_0(file)[0]
