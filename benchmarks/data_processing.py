"""Time and peak memory of the node process_raw_files on as many rows as the challenge has.

    python benchmarks/data_processing.py                        # 3.6 million train rows, made up
    python benchmarks/data_processing.py --folder data/01_raw/challenge   # files that are there already
    python benchmarks/data_processing.py --rows-per-history 1   # no two rows share a history: the worst case

The made-up files have the challenge's row counts, types and history lengths, and no meaning.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kedro.data.challenge import EMBEDDING_WIDTH, HISTORY_WIDTH, PATHS, SCHEMAS, RawFolder
from mmctr_kedro.data.settings import ProcessingParams, SourceParams

ITEMS, TEST_ROWS, VALID_ROWS = 91_717, 379_142, 10_000
CHUNK = 200_000


def write_rows(folder: RawFolder, name: str, rows: int, rows_per_history: int, rng: np.random.Generator) -> None:
    """One split in the published types; users follow one another, ``rows_per_history`` rows each."""
    with pq.ParquetWriter(_path(folder, name), SCHEMAS[name]) as writer:
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            users = -(-count // rows_per_history)
            length = np.clip(rng.lognormal(1.8, 0.7, users).astype(int), 3, HISTORY_WIDTH)
            history = rng.integers(1, ITEMS + 1, (users, HISTORY_WIDTH))
            history[np.arange(HISTORY_WIDTH) < HISTORY_WIDTH - length[:, None]] = 0
            history = np.repeat(history, rows_per_history, axis=0)[:count]
            user = np.repeat(np.arange(users) + start // rows_per_history + 1, rows_per_history)[:count]
            columns = {
                "ID": np.arange(start, start + count),
                "user_id": user,
                "item_seq": pa.FixedSizeListArray.from_arrays(history.ravel(), HISTORY_WIDTH),
                "item_id": rng.integers(1, ITEMS + 1, count),
                "likes_level": rng.integers(1, 11, count),
                "views_level": rng.integers(1, 11, count),
                "label": (np.arange(count) % 4 == 0).astype(np.int64),
            }
            writer.write_table(
                pa.table({field.name: columns[field.name] for field in SCHEMAS[name]}, SCHEMAS[name]), CHUNK
            )


def write_items(folder: RawFolder, rng: np.random.Generator) -> None:
    """item_info and item_feature with random vectors and tags."""
    tags = rng.integers(1, 11_740, (ITEMS + 1, 5))
    tags[0] = 0
    vectors = rng.normal(size=(ITEMS + 1, EMBEDDING_WIDTH))
    vectors[0] = 0
    info = [np.arange(ITEMS + 1), _lists(tags), _lists(vectors)]
    pq.write_table(pa.table(info, SCHEMAS["item_info"]), _path(folder, "item_info"))
    ids = np.arange(1, ITEMS + 1)
    levels = rng.integers(1, 11, (2, ITEMS))
    feature = [
        ids,
        pa.array([f"title of item {item}" for item in ids]),
        pa.ListArray.from_arrays(np.arange(0, 5 * ITEMS + 1, 5, dtype=np.int32), tags[1:].ravel()),
        *levels,
        *(_lists(rng.normal(size=(ITEMS, width)).astype(np.float32)) for width in (768, 1024)),
    ]
    pq.write_table(pa.table(feature, SCHEMAS["item_feature"]), _path(folder, "item_feature"))


def measure(path: Path) -> None:
    """Run the node in this process alone, and print what it took."""
    from mmctr_kedro.data.processing.raw_files import describe
    from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files

    folder = RawFolder(path)
    start = time.perf_counter()
    raw_files = describe(SourceParams(name="challenge_files"), folder)
    described = time.perf_counter()
    made = process_raw_files(ProcessingParams(), raw_files, folder)
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    train = made[3]
    print(f"train rows {len(train):,}, distinct histories {len(train.history_user):,}, items {len(made[0]):,}")
    print(f"SHA-256 {described - start:.1f} s, processing {end - described:.1f} s, peak {peak:.2f} GiB")


def main() -> None:
    """Make the files, unless a folder of them is given, and measure in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="a folder of challenge files; made up if not given")
    parser.add_argument("--rows", type=int, default=3_600_000)
    parser.add_argument("--rows-per-history", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mmctr_benchmark_") as room:
        path = given.folder or Path(room)
        if given.folder is None:
            rng, folder = np.random.default_rng(0), RawFolder(path)
            write_items(folder, rng)
            for name, rows in (("train", given.rows), ("valid", VALID_ROWS), ("test", TEST_ROWS)):
                write_rows(folder, name, rows, given.rows_per_history, rng)
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(path,))
        process.start()
        process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


def _lists(table: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(table.ravel(), table.shape[1])


def _path(folder: RawFolder, name: str) -> Path:
    path = folder.path / PATHS[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main()
