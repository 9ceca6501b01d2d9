"""The item side of an import: levels, tags, covers and the vectors the format asks for.

Vectors come from title and tag words and from the covers' pixels, by the functions that the simulated world
uses; never from clicks.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.data import content_vectors as vectors
from mmctr_kedro.data.challenge import COVERS, TAG_WIDTH, RawFolder
from mmctr_kedro.data.challenge_writer import padded_tags, table_writer, write_item_emb, write_item_feature
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.importing.log_files import ItemTable

LEVELS = 10
COVER_CHUNK = 250


def levels(counts: np.ndarray) -> np.ndarray:
    """Counts ``[N]`` as levels 1..10, ``[N]`` int64: 1 + the tenths of all items with a smaller count.

    Equal counts share a level; items without any count, new ones among them, have level 1.
    """
    smaller = np.searchsorted(np.sort(counts), counts, side="left")
    return 1 + LEVELS * smaller // max(len(counts), 1)


def tag_vocabulary(tags: list[list[str]], early: np.ndarray) -> list[str]:
    """Tags of items seen in training time (``early`` ``[N]`` bool), most frequent first, then by alphabet.

    A tag's id is its place + 1. Tags that only later items carry are left out.
    """
    seen = [word for place in np.flatnonzero(early).tolist() for word in tags[place]]
    words, count = np.unique(np.array(seen, dtype=str), return_counts=True)
    return words[np.argsort(-count, kind="stable")].tolist()


def write_items(
    table: ItemTable, likes: np.ndarray, views: np.ndarray, covers: Covers, folder: RawFolder
) -> dict[str, int]:
    """Write the four item files, tag_words and the covers; return what there is to report.

    Args:
        likes, views: Levels ``[N]`` int64.
        covers: The log folder's, by source id.
    """
    early = views > 0
    words = tag_vocabulary(table.tags, early)
    number = {word: place + 1 for place, word in enumerate(words)}
    tags = [np.array([number[w] for w in row if w in number], dtype=np.int64) for row in table.tags]
    documents = [" ".join([title, *row]) for title, row in zip(table.titles, table.tags, strict=True)]
    statistics, found = _write_covers(table.ids, covers, folder)
    text, image = vectors.text_vectors(documents), vectors.image_vectors(statistics)
    write_item_feature(folder, table.titles, tags, levels(likes), levels(views), text, image)
    fused = vectors.item_vectors(text, image)
    write_item_emb(folder, vectors.item_vector_variants(fused))
    _write_item_info(tags, fused, folder)
    with table_writer(folder, "tag_words") as file:
        file.append({"tag_id": np.arange(1, len(words) + 1), "word": pa.array(words, pa.string())})
    return {"tags": len(words), **found}


def _write_item_info(tags: list[np.ndarray], fused: np.ndarray, folder: RawFolder) -> None:
    """item_info with its row 0 of zeros; the first five tags, left-padded."""
    padded = padded_tags([np.empty(0, np.int64), *(row[:TAG_WIDTH] for row in tags)])
    with table_writer(folder, "item_info") as file:
        file.append(
            {
                "item_id": np.arange(len(fused) + 1),
                "item_tags": padded,
                "item_emb_d128": np.concatenate([np.zeros((1, fused.shape[1])), fused]),
            }
        )


# --- covers ----------------------------------------------------------------------------------------------


def _write_covers(ids: np.ndarray, covers: Covers, folder: RawFolder) -> tuple[np.ndarray, dict[str, int]]:
    """Copy the covers under our ids, byte for byte; return pixel statistics ``[N, d]`` float32, and counts.

    Items without a readable cover get the mean of the others, which standardising makes zeros.
    """
    # Some ids are words: covers are found for those that are numbers all the same.
    names = covers.item_ids if ids.dtype.kind == "i" else covers.item_ids.astype(str)
    matched = covers.item_ids[np.isin(names, ids)]
    places: list[int] = []
    found: list[np.ndarray] = []
    reading = covers.read(matched)
    with atomic_write(folder.path / COVERS) as room:
        room.mkdir()
        while batch := list(islice(reading, COVER_CHUNK)):
            place = np.searchsorted(ids, np.array([source_id for source_id, _ in batch]).astype(ids.dtype)).tolist()
            _copy(batch, place, covers, room)
            thumbnails = [_thumbnail(data) for _, data in batch]
            readable = [at for at, thumbnail in zip(place, thumbnails, strict=True) if thumbnail is not None]
            if readable:
                places += readable
                found.append(vectors.image_statistics(np.stack([t for t in thumbnails if t is not None])))
    width = vectors.image_statistics(np.zeros((1, vectors.THUMBNAIL, vectors.THUMBNAIL, 3), np.uint8)).shape[1]
    statistics = np.zeros((len(ids), width), dtype=np.float32)
    if found:
        seen = np.concatenate(found)
        # Summed in the order of ids, so that a folder and an archive of the same covers give equal bytes.
        statistics += seen[np.argsort(places)].mean(axis=0, dtype=np.float64).astype(np.float32)
        statistics[places] = seen
    counts = {
        "covers": len(matched),
        "covers_unreadable": len(matched) - len(places),
        "covers_of_unknown_items": len(covers) - len(matched),
        "items_without_cover": len(ids) - len(matched),
    }
    return statistics, counts


def _copy(batch: list[tuple[int, bytes | None]], place: list[int], covers: Covers, room: Path) -> None:
    for at, (source_id, data) in zip(place, batch, strict=True):
        ending = PurePosixPath(covers.name(source_id)).suffix.lower()
        (room / f"{at + 1}{ending}").write_bytes(data or b"")


def _thumbnail(data: bytes | None) -> np.ndarray | None:
    """A cover as ``[32, 32, 3]`` uint8; None where it cannot be decoded."""
    from PIL import Image

    from mmctr_kedro.data.images import opened

    size = (vectors.THUMBNAIL, vectors.THUMBNAIL)
    try:
        with opened(data or b"") as picture:
            picture.draft("RGB", (4 * size[0], 4 * size[1]))  # JPEGs are decoded at a fraction of their size
            return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX))
    except Exception:  # on damaged bytes a decoder may raise nearly anything
        return None
