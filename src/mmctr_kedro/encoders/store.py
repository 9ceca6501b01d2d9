"""Encoded items on disk, found again by what was encoded and by what encoded it.

Below the store lies one folder per encoder: ``encoder.json`` says which, and each ``.npz`` is a shard with the content
keys and vectors of some items. A shard appears whole, and its checksums are read before it counts. So a killed run
loses the shard it was at, and two runs at once add to each other.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, ClassVar

import numpy as np

from mmctr_kedro.common.files import atomic_write

logger = logging.getLogger(__name__)

SHARD_ROWS = 2048
SHARD_SECONDS = 30.0  # of work that a kill may cost
KEY_BYTES = 16


def content_key(*parts: bytes) -> bytes:
    """What an item is known by: hexadecimal, the same for the same content, wherever it comes from."""
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest().encode()


class VectorStore:
    """A folder of encoded items; the store object nodes get from the catalog.

    It only grows: remove the folder to be rid of what no item needs any more.
    """

    cache: ClassVar[bool] = True  # what lies there decides no result, only how soon it is there (planner)

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
        self.places: dict[bytes, tuple[Path, int]] = {}
        self.width: int | None = None
        self._keys: list[bytes] = []
        self._vectors: list[np.ndarray] = []
        for path in sorted(folder.glob("*.npz")):
            try:
                self.note(path)
            except Exception as error:  # on damaged bytes NumPy raises nearly anything
                logger.warning("%s cannot be read (%s): its items will be encoded again", path, error)
        self._since = time.monotonic()

    def add(self, keys: Sequence[bytes], vectors: np.ndarray) -> None:
        """Take in ``[n, width]`` float32; on disk once a shard is full or ``SHARD_SECONDS`` old."""
        self._keys += keys
        self._vectors.append(vectors)
        if len(self._keys) >= SHARD_ROWS or time.monotonic() - self._since >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was added since the last shard."""
        if self._keys:
            self.note(write_shard(self.folder, self._keys, np.concatenate(self._vectors)))
        self._keys, self._vectors, self._since = [], [], time.monotonic()

    def note(self, path: Path) -> int:
        """Count in a written shard; how many vectors it holds."""
        with np.load(path, allow_pickle=False) as shard:
            keys, vectors = shard["keys"].tolist(), shard["vectors"]  # both whole, which checks their checksums
        if not (self.folder / "encoder.json").is_file():
            with atomic_write(self.folder / "encoder.json") as temporary:
                temporary.write_text(json.dumps(self._identity, indent=1) + "\n")
        self.width = vectors.shape[1]
        self.places.update((key, (path, row)) for row, key in enumerate(keys))
        return len(keys)

    def collect(self, keys: Sequence[bytes | None]) -> np.ndarray:
        """The vectors of N items by their content keys: ``[N + 1, width]`` float32 on disk, not in memory.

        Row 0, and the row of an item whose key is None or was never encoded, is zeros. A shard is in memory at a time.
        """
        shape = (len(keys) + 1, self.width or 0)
        if not self.width:
            return np.zeros(shape, dtype=np.float32)
        with TemporaryFile(dir=self.folder) as file:  # without a name: gone with the last reader
            vectors = np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
        wanted: dict[Path, list[tuple[int, int]]] = {}  # by shard, rows of the result and of the shard
        for item, key in enumerate(keys, 1):
            if key is not None and key in self.places:
                path, row = self.places[key]
                wanted.setdefault(path, []).append((item, row))
        for path, rows in wanted.items():
            ours, theirs = np.array(rows).T
            vectors[ours] = np.load(path, allow_pickle=False)["vectors"][theirs]
        return vectors


def write_shard(folder: Path, keys: Sequence[bytes], vectors: np.ndarray) -> Path:
    """Write ``[n, width]`` vectors as one shard, which counts once noted; workers write, the driver notes."""
    names = np.array(keys, dtype=f"S{2 * KEY_BYTES}")
    path = folder / f"{content_key(*keys).decode()}.npz"
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, keys=names, vectors=np.asarray(vectors, dtype=np.float32))
    return path
