"""The item side of an import: levels, tags, covers and the vectors the format asks for.

Vectors come from title and tag words and from the covers' pixels, by the functions that the simulated world
uses; never from clicks.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import numpy as np

from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.data import content_vectors as vectors
from mmctr_kedro.data.challenge import COVERS, RawFolder
from mmctr_kedro.data.challenge_writer import write_item_files
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.importing.log_files import ItemTable

LEVELS = 10


def levels_of(counts: np.ndarray) -> np.ndarray:
    """Counts ``[N]`` as levels 1..10, ``[N]`` int64: 1 + the tenths of all items with a smaller count.

    Equal counts share a level; items without any count, new ones among them, have level 1.
    """
    smaller = np.searchsorted(np.sort(counts), counts, side="left")
    return 1 + LEVELS * smaller // max(len(counts), 1)


def write_items(
    table: ItemTable, levels: tuple[np.ndarray, np.ndarray], early: np.ndarray, covers: Covers, folder: RawFolder
) -> dict[str, int]:
    """Write the four item files, tag_words and the covers; return what there is to report.

    Args:
        levels: Likes and views levels, ``[N]`` int64 each.
        early: Items seen in training time, ``[N]`` bool. Their tags are numbered, the most frequent first, then by
            alphabet; tags that only later items carry are left out.
        covers: The log folder's, by source id.
    """
    seen = [word for place in np.flatnonzero(early).tolist() for word in table.tags[place]]
    words, count = np.unique(np.array(seen, dtype=str), return_counts=True)
    tag_words = words[np.argsort(-count, kind="stable")].tolist()
    number = {word: place + 1 for place, word in enumerate(tag_words)}
    tags = [np.array([number[word] for word in row if word in number], dtype=np.int64) for row in table.tags]
    documents = [" ".join([title, *row]) for title, row in zip(table.titles, table.tags, strict=True)]
    statistics, found = _write_covers(table.ids, covers, folder)
    write_item_files(folder, table.titles, documents, tags, tag_words, levels, statistics)
    return {"tags": len(tag_words), **found}


def with_item(covers: Covers, ids: np.ndarray) -> np.ndarray:
    """Those of ``covers.item_ids`` that are among the source ids of items."""
    # Some ids are words: covers are found for those that are numbers all the same.
    names = covers.item_ids if ids.dtype.kind == "i" else covers.item_ids.astype(str)
    return covers.item_ids[np.isin(names, ids)]


def _write_covers(ids: np.ndarray, covers: Covers, folder: RawFolder) -> tuple[np.ndarray, dict[str, int]]:
    """Copy the covers under our ids, byte for byte; return pixel statistics ``[N, d]`` float32, and counts.

    Items without a readable cover get the mean of the others, which standardising makes zeros.
    """
    matched = with_item(covers, ids)
    width = vectors.image_statistics(np.zeros((1, vectors.THUMBNAIL, vectors.THUMBNAIL, 3), np.uint8)).shape[1]
    statistics = np.zeros((len(ids), width), dtype=np.float32)
    readable = np.zeros(len(ids), dtype=bool)
    with atomic_write(folder.path / COVERS) as room:
        room.mkdir()
        for source_id, data in covers.read(matched):
            place = int(np.searchsorted(ids, np.array(source_id).astype(ids.dtype)))
            ending = PurePosixPath(covers.name(source_id)).suffix.lower()
            (room / f"{place + 1}{ending}").write_bytes(data or b"")
            if (thumbnail := _thumbnail(data)) is not None:
                statistics[place], readable[place] = vectors.image_statistics(thumbnail[None])[0], True
    if readable.any():
        # Summed in the order of ids, so that a folder and an archive of the same covers give equal bytes.
        statistics[~readable] = statistics[readable].mean(axis=0, dtype=np.float64).astype(np.float32)
    counts = {
        "covers": len(matched),
        "covers_unreadable": len(matched) - int(readable.sum()),
        "covers_of_unknown_items": len(covers) - len(matched),
        "items_without_cover": len(ids) - len(matched),
    }
    return statistics, counts


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
