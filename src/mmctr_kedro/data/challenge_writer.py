"""Writing a data set in the challenge's files and types, a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.data import content_vectors as vectors
from mmctr_kedro.data.challenge import HISTORY_WIDTH, SCHEMAS, TAG_WIDTH, RawFolder
from mmctr_kedro.data.jagged import offsets_of

CHUNK = 10_000  # rows of wide tables per row group


@contextmanager
def table_writer(folder: RawFolder, name: str) -> Iterator[Callable[[dict[str, np.ndarray | pa.Array]], None]]:
    """Open the challenge file ``name`` for writing; it appears when the block ends well.

    What it yields appends a row group: columns by name as numpy arrays, lists as ``[rows, width]``, or as Arrow arrays.
    """
    schema = SCHEMAS[name]
    # Repeating ids pack well as dictionaries, vectors do not.
    floats = any(pa.types.is_floating(getattr(field.type, "value_type", field.type)) for field in schema)
    with (
        atomic_write(folder.file(name)) as path,
        pq.ParquetWriter(
            path, schema, compression="zstd", use_dictionary=not floats, write_page_checksum=True
        ) as writer,
    ):

        def append(columns: dict[str, np.ndarray | pa.Array]) -> None:
            arrays = []
            for field in schema:
                values = columns[field.name]
                if isinstance(values, pa.Array):
                    array = values.cast(field.type)
                elif pa.types.is_fixed_size_list(field.type):
                    flat = pa.array(np.ascontiguousarray(values).reshape(-1), field.type.value_type)
                    array = pa.FixedSizeListArray.from_arrays(flat, type=field.type)
                else:
                    array = pa.array(values, field.type)
                arrays.append(array)
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

        yield append


def write_item_files(
    folder: RawFolder,
    titles: list[str],
    documents: list[str],
    tags: list[np.ndarray],
    tag_words: list[str],
    levels: tuple[np.ndarray, np.ndarray],
    image_statistics: np.ndarray,
    noise: np.ndarray | None = None,
) -> None:
    """Write item_feature, item_emb, item_info and tag_words of N items, ids 1..N in order.

    Args:
        documents: The words that text vectors are computed from.
        tags: Tag ids of every item; item_info has the first five. ``tag_words[i]`` is the word of tag i + 1.
        levels: Likes and views levels, ``[N]`` each.
        image_statistics: ``[N, d]`` as ``content_vectors.image_statistics`` makes them.
        noise: What is added to the vectors of item_info, ``[N, 128]``.
    """
    text, image = vectors.text_vectors(documents), vectors.image_vectors(image_statistics)
    fused = vectors.item_vectors(text, image)
    variants = {f"item_emb_d128_{name}": values for name, values in vectors.item_vector_variants(fused).items()}
    with table_writer(folder, "item_feature") as item_feature, table_writer(folder, "item_emb") as item_emb:
        for rows in chunks(len(tags)):
            ids = np.arange(rows.start, rows.stop) + 1
            item_feature(
                {
                    "item_id": ids,
                    "item_title": pa.array(titles[rows]),
                    "item_tags": pa.array(tags[rows], pa.list_(pa.int64())),
                    "likes_level": levels[0][rows],
                    "views_level": levels[1][rows],
                    "txt_emb_BERT": text[rows],
                    "img_emb_CLIPRN50": image[rows],
                }
            )
            item_emb({"item_id": ids, **{name: values[rows] for name, values in variants.items()}})
    provided = fused if noise is None else fused + noise
    with table_writer(folder, "item_info") as item_info:
        item_info(
            {
                "item_id": np.arange(len(tags) + 1),
                "item_tags": padded_tags([np.empty(0, np.int64), *tags]),
                "item_emb_d128": np.concatenate([np.zeros((1, fused.shape[1])), provided]),
            }
        )
    with table_writer(folder, "tag_words") as words:
        words({"tag_id": np.arange(1, len(tag_words) + 1), "word": pa.array(tag_words, pa.string())})


def write_item_seq(folder: RawFolder, users: np.ndarray, lengths: np.ndarray, items: np.ndarray) -> None:
    """item_seq: one row per user, whose ``lengths`` items stand one user after the other in ``items``."""
    offsets = offsets_of(lengths)
    with table_writer(folder, "item_seq") as table:
        for rows in chunks(len(users), 20 * CHUNK):
            part = offsets[rows.start : rows.stop + 1]
            values = pa.array(items[part[0] : part[-1]], pa.int64())
            lists = pa.ListArray.from_arrays(pa.array(part - part[0], pa.int32()), values)
            table({"user_id": users[rows], "item_seq": lists})


def chunks(count: int, size: int = CHUNK) -> Iterator[slice]:
    """``count`` rows as slices of at most ``size``."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def padded_histories(history: np.ndarray) -> np.ndarray:
    """``[U, W]`` item positions, -1 after the end, as ``[U, 64]`` item ids with the newest rightmost."""
    real = history >= 0
    return _left_padded(history[real] + 1, real.sum(axis=1), HISTORY_WIDTH)


def padded_tags(tags: list[np.ndarray]) -> np.ndarray:
    """The first five of every tag list: ``[n, 5]`` int64, zeros on the left."""
    kept = [row[:TAG_WIDTH] for row in tags]
    return _left_padded(np.concatenate([np.empty(0, np.int64), *kept]), np.array([len(row) for row in kept]), TAG_WIDTH)


def _left_padded(values: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
    padded = np.zeros((len(lengths), width), dtype=np.int64)
    padded[np.arange(width) >= width - lengths[:, None]] = values
    return padded
