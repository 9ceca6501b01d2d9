"""Writing a world's tables in the challenge's types, a bounded piece at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.data.challenge import HISTORY_WIDTH, SCHEMAS, TAG_WIDTH, RawFolder

CHUNK = 10_000  # rows of wide tables per row group


class TableWriter:
    """Appends row groups to one challenge file; columns come as numpy arrays, lists as ``[rows, width]``."""

    def __init__(self, schema: pa.Schema, writer: pq.ParquetWriter) -> None:
        self._schema, self._writer = schema, writer

    def append(self, columns: dict[str, np.ndarray | pa.Array]) -> None:
        arrays = [_arrow(columns[field.name], field.type) for field in self._schema]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))


@contextmanager
def table_writer(folder: RawFolder, name: str) -> Iterator[TableWriter]:
    """Open the challenge file ``name`` for writing; it appears when the block ends well."""
    schema = SCHEMAS[name]
    # Repeating ids pack well as dictionaries, vectors do not.
    floats = any(pa.types.is_floating(getattr(field.type, "value_type", field.type)) for field in schema)
    with (
        atomic_write(folder.file(name)) as path,
        pq.ParquetWriter(
            path, schema, compression="zstd", use_dictionary=not floats, write_page_checksum=True
        ) as writer,
    ):
        yield TableWriter(schema, writer)


def _arrow(values: np.ndarray | pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values.cast(kind)
    if pa.types.is_fixed_size_list(kind):
        flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    return pa.array(values, kind)


def write_item_feature(
    folder: RawFolder,
    titles: list[str],
    tags: list[np.ndarray],
    likes_level: np.ndarray,
    views_level: np.ndarray,
    text: np.ndarray,
    image: np.ndarray,
) -> None:
    """item_feature.parquet; every argument has one entry or row per item, ids 1..N in order."""
    with table_writer(folder, "item_feature") as table:
        for rows in chunks(len(tags)):
            table.append(
                {
                    "item_id": np.arange(rows.start, rows.stop) + 1,
                    "item_title": pa.array(titles[rows]),
                    "item_tags": jagged(tags[rows]),
                    "likes_level": likes_level[rows],
                    "views_level": views_level[rows],
                    "txt_emb_BERT": text[rows],
                    "img_emb_CLIPRN50": image[rows],
                }
            )


def write_item_emb(folder: RawFolder, variants: dict[str, np.ndarray]) -> None:
    """item_emb.parquet from its variants ``[N, 128]`` by name ("v1" and so on)."""
    with table_writer(folder, "item_emb") as table:
        for rows in chunks(len(next(iter(variants.values())))):
            named = {f"item_emb_d128_{name}": vector[rows] for name, vector in variants.items()}
            table.append({"item_id": np.arange(rows.start, rows.stop) + 1, **named})


def chunks(count: int, size: int = CHUNK) -> Iterator[slice]:
    """``count`` rows as slices of at most ``size``."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def jagged(lists: list[np.ndarray]) -> pa.Array:
    """Lists of int64 of any length as one Arrow list array."""
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])])
    values = np.concatenate([np.empty(0, np.int64), *lists])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values, pa.int64()))


def left_padded(values: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
    """Concatenated lists with their lengths ``[n]`` as ``[n, width]`` int64, zeros on the left."""
    padded = np.zeros((len(lengths), width), dtype=np.int64)
    padded[np.arange(width) >= width - lengths[:, None]] = values
    return padded


def padded_histories(history: np.ndarray) -> np.ndarray:
    """``[U, W]`` item positions, -1 after the end, as ``[U, 64]`` item ids with the newest rightmost."""
    real = history >= 0
    return left_padded(history[real] + 1, real.sum(axis=1), HISTORY_WIDTH)


def padded_tags(tags: list[np.ndarray]) -> np.ndarray:
    """Tag lists as ``[n, 5]``, zeros on the left."""
    lengths = np.array([len(row) for row in tags])
    return left_padded(np.concatenate([np.empty(0, np.int64), *tags]), lengths, TAG_WIDTH)
