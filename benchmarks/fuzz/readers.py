"""Every reader of the project with sound files for it: artifacts of our own, and what users bring."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog

from benchmarks import plain
from benchmarks.fuzz import foreign
from benchmarks.fuzz.cases import Reader
from mmctr_kedro.common.params import CheckSubmissionParams, InteractionLogParams, ProcessingParams, SourceParams
from mmctr_kedro.data.challenge import EMBEDDING_WIDTH, HISTORY_WIDTH, SCHEMAS, TAG_WIDTH, RawFolder, Submission
from mmctr_kedro.data.challenge_writer import table_writer
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.importing.log_files import read_log
from mmctr_kedro.data.processing.raw_files import describe
from mmctr_kedro.encoders.store import VectorStore, content_key
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.pipelines.check_submission.nodes import check_submitted, refuse_unfit
from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files
from mmctr_kedro.settings import CONFIG_LOADER_ARGS
from mmctr_kedro.submission.bundling import Bundle
from mmctr_kedro.submission.submitted_file import read_submitted, read_test_ids
from mmctr_kedro.submission.zip_file import submission_bytes
from mmctr_kedro.training.checkpoints import Checkpoints

CONF = Path(__file__).parents[2] / "conf"

# --- what the catalog keeps ------------------------------------------------------------------------------


def _clicks(label: bool) -> Clicks:
    return Clicks(
        history_user=np.array([1, 2, 1], np.int32),
        history_offsets=np.array([0, 2, 2, 4]),
        history_items=np.array([1, 2, 2, 1], np.int32),
        history=np.array([0, 0, 1, 2], np.int32),
        item=np.array([3, 1, 1, 3], np.int32),
        likes_level=np.array([1, 2, 2, 5], np.int8),
        views_level=np.array([10, 5, 5, 5], np.int8),
        row_id=np.arange(4),
        label=np.array([1, 0, 1, 0], np.int8) if label else None,
    )


def _weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    return {"layer.weight": generator.normal(size=(8, 4)).astype(np.float32), "layer.bias": np.zeros(8, np.float32)}


def _metrics() -> dict[str, Any]:
    return {"model": "din", "auc": 0.7716, "seconds": 12.5, "not_submittable": [], "roc": [[0.0, 0.0], [1.0, 1.0]]}


def _scores() -> pd.DataFrame:
    return pd.DataFrame({"ID": np.arange(40), "Task1": np.random.default_rng(2).random(40, dtype=np.float32)})


def _figure() -> Any:
    from plotly.graph_objects import Figure

    return Figure().add_scatter(x=[0, 0.5, 1], y=[0, 0.8, 1])


def _item_info() -> pa.Table:
    columns = {
        "item_id": np.arange(3),
        "item_tags": pa.array([[0] * TAG_WIDTH] * 3, SCHEMAS["item_info"].field("item_tags").type),
        "item_emb_d128": pa.array(
            list(np.random.default_rng(3).normal(size=(3, EMBEDDING_WIDTH))),
            SCHEMAS["item_info"].field("item_emb_d128").type,
        ),
    }
    return pa.table(columns, SCHEMAS["item_info"])


def _bundle() -> Bundle:
    files = {"submission.zip": submission_bytes(Submission(_scores())), "REPRODUCE.md": b"# Reproduce\n"}
    return Bundle({"files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}}, files)


# One entry of the catalog, or two, for each class of dataset that reads a file.
ARTIFACTS: dict[str, Callable[[], Any]] = {
    "item_embedding": lambda: np.random.default_rng(4).normal(size=(6, 8)).astype(np.float32),
    "item_tags": lambda: np.arange(30, dtype=np.int32).reshape(6, TAG_WIDTH),
    "clicks_train": lambda: _clicks(label=True),
    "clicks_test": lambda: _clicks(label=False),
    "raw_files": lambda: {"source": "simulated", "files": {"train": {"bytes": 1234, "sha256": "0f" * 32}}},
    "task1.metrics": _metrics,
    "truth": lambda: pd.DataFrame({"split": ["valid", "test"], "row_id": [0, 0], "posterior": [0.25, 0.75]}),
    "item_content": lambda: pd.DataFrame({"item_id": [1, 2], "title": ["red fox", ""], "tags": [[7, 3], []]}),
    "task1.predictions": lambda: pd.DataFrame(
        {"split": ["test"] * 40, "row_id": np.arange(40), "pctr": _scores()["Task1"]}
    ),
    "embedding.item_info": _item_info,
    "task1.ctr_model": lambda: TrainedModel({"ctr": {"model": {"name": "din"}}, "items": 6, "fixed": True}, _weights()),
    "task1.submission": lambda: Submission(_scores(), ("histories end at 16 clicks, not 64",)),
    "task1.bundle": _bundle,
    "task1.roc": _figure,
    "task1.report": lambda: "<h1>Report</h1>\n<p>valid AUC 0.7716</p>\n",
}
# Classes of the catalog that need no artifact above, and why.
ELSEWHERE = {
    "ProjectDataset": "asks git and the machine, and reads requirements.lock as it stands",
    "WiringDataset": "reads no file",
    "ArtifactsDataset": "tells the SHA-256 of files, whatever they hold",
    "RawFolderDataset": "gives out a folder and reads nothing; its files are the readers 'raw parquet'",
    "CoversDataset": "is the readers 'covers'",
    "CheckpointsDataset": "is the reader 'checkpoint'",
    "VectorStoreDataset": "is the reader 'vector store'",
    "SubmittedDataset": "is the readers 'check_submission'",
    "TestIdsDataset": "is the reader 'check_submission test file'",
    "SentenceTransformerDataset": "is sealed as a folder, as clicks are; loading it takes seconds",
}


def catalog(root: Path) -> DataCatalog:
    """The project's own catalog with its data below ``root``."""
    loader = OmegaConfigLoader(str(CONF), env="smoke", runtime_params={"root": str(root)}, **CONFIG_LOADER_ARGS)
    return DataCatalog.from_config({name: entry for name, entry in loader["catalog"].items() if name[0] != "_"})


@cache
def _place(name: str) -> tuple[type, str]:
    """The class of a dataset and its file below the root: to read conf/ for every case would take most of the time."""
    dataset = catalog(Path("root")).get(name)
    return type(dataset), str(Path(str(dataset._filepath)).relative_to("root"))


def _make_artifact(name: str, value: Callable[[], Any], root: Path) -> None:
    catalog(root).save(name, value())


def _load_artifact(name: str, root: Path) -> Any:
    kind, file = _place(name)
    value = kind(filepath=str(root / file)).load()
    return value.to_dict() if name == "task1.roc" else value


# --- stores that make anew what is lost ------------------------------------------------------------------

FINGERPRINT = {"code": "a1", "seed": "7"}
IDENTITY = {"encoder": "tiny", "side": 8}
KEYS = [content_key(bytes([number])) for number in range(12)]


def _make_checkpoint(folder: Path) -> None:
    import torch

    state = {"step": 3, "weights": {name: torch.from_numpy(array) for name, array in _weights().items()}}
    Checkpoints(folder / "checkpoint.pt").save(FINGERPRINT, state)


def _load_checkpoint(folder: Path) -> Any:
    state = Checkpoints(folder / "checkpoint.pt").load(FINGERPRINT)
    weights = {} if state is None else {name: weight.numpy() for name, weight in state["weights"].items()}
    return None if state is None else {**state, "weights": weights}


def _make_vectors(folder: Path) -> None:
    vectors = np.random.default_rng(6).normal(size=(12, 4)).astype(np.float32)
    shards = VectorStore(folder).shards(IDENTITY)
    for start in (0, 6):
        shards.add(KEYS[start : start + 6], vectors[start : start + 6])
        shards.flush()


def _load_vectors(folder: Path) -> dict[bytes, np.ndarray]:
    shards = VectorStore(folder).shards(IDENTITY)
    known = [key for key in KEYS if key in shards.places]
    return dict(zip(known, np.array(shards.collect(known))[1:], strict=True))


def _fewer_vectors(value: dict[bytes, Any], original: dict[bytes, Any]) -> bool:
    return all(key in original and np.array_equal(vector, original[key]) for key, vector in value.items())


# --- raw parquet -----------------------------------------------------------------------------------------

NAMES = ("train", "valid", "test", "item_info", "item_feature", "tag_words", "item_seq")


def _raw_columns() -> dict[str, dict[str, Any]]:
    """Eight items and a few rows, by file and column."""
    generator, items = np.random.default_rng(8), 8
    tables: dict[str, dict[str, Any]] = {}
    for split, rows in (("train", 24), ("valid", 8), ("test", 8)):
        history = generator.integers(1, items + 1, (rows, HISTORY_WIDTH))
        history[np.arange(HISTORY_WIDTH) < generator.integers(50, HISTORY_WIDTH, rows)[:, None]] = 0
        tables[split] = {
            "ID": np.arange(rows), "user_id": generator.integers(1, 5, rows), "item_seq": history,
            "item_id": generator.integers(1, items + 1, rows), "likes_level": generator.integers(1, 11, rows),
            "views_level": generator.integers(1, 11, rows), "label": np.arange(rows) % 2,
        }  # fmt: skip
    tags = generator.integers(1, 6, (items + 1, TAG_WIDTH)) * (np.arange(items + 1) > 0)[:, None]
    vectors = generator.normal(size=(items + 1, EMBEDDING_WIDTH)) * (np.arange(items + 1) > 0)[:, None]
    tables["item_info"] = {"item_id": np.arange(items + 1), "item_tags": tags, "item_emb_d128": vectors}
    lists = pa.array([row[row > 0].tolist() for row in tags[1:]], pa.list_(pa.int64()))
    tables["item_feature"] = {
        "item_id": np.arange(items) + 1, "item_title": pa.array([f"Title {n}" for n in range(items)]),
        "item_tags": lists, "likes_level": np.full(items, 3), "views_level": np.full(items, 4),
        "txt_emb_BERT": generator.integers(0, 2, (items, 768)).astype(np.float32),
        "img_emb_CLIPRN50": generator.integers(0, 2, (items, 1024)).astype(np.float32),
    }  # fmt: skip
    tables["tag_words"] = {"tag_id": np.arange(1, 6), "word": pa.array(list("abcde"))}
    seq = pa.array([[1, 2], [], [3, 3, 3]], pa.list_(pa.int64()))
    tables["item_seq"] = {"user_id": np.arange(1, 4), "item_seq": seq}
    return tables


def _make_our_parquet(folder: Path) -> None:
    """By the writer of worlds/ and import_log, whose pages have checksums."""
    for name, columns in _raw_columns().items():
        with table_writer(RawFolder(folder), name) as table:
            table.append(columns)
    (folder / "world.json").write_text(json.dumps({"world_version": 3, "finished": True}))


def _make_foreign_parquet(folder: Path) -> None:
    """As pandas or anybody would write them: no checksums, another packing."""
    _make_our_parquet(folder)
    for path in sorted(folder.rglob("*.parquet")):
        pq.write_table(pq.read_table(path), path, compression="none")


def _process(folder: Path) -> Any:
    raw_files = describe(SourceParams(name="challenge_files"), RawFolder(folder))
    made = process_raw_files(ProcessingParams(), raw_files, RawFolder(folder))
    return plain.of_contracts(made) | {"world_version": raw_files["world_version"]}


def _plain_parquet(folder: Path) -> Any:
    record = json.loads((folder / "world.json").read_bytes())
    return plain.read(RawFolder(folder), list(NAMES), 64) | {"world_version": record.get("world_version")}


_DESCRIBED: dict[str, Any] = {}


def _process_described(folder: Path) -> Any:
    """By what was said of the files before they were changed; they are sound at the first call."""
    if not _DESCRIBED:
        _DESCRIBED.update(describe(SourceParams(name="challenge_files"), RawFolder(folder)))
    return plain.of_contracts(process_raw_files(ProcessingParams(), _DESCRIBED, RawFolder(folder)))


# --- submissions of anybody ------------------------------------------------------------------------------


def _csv() -> str:
    rows = zip(np.arange(40), *np.random.default_rng(9).random((3, 40)).round(6), strict=True)
    return "ID,Task1,Task2,Task1&2\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def _make_csv(folder: Path) -> None:
    (folder / "prediction.csv").write_text(_csv())


def _make_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("prediction.csv"), _csv(), zipfile.ZIP_DEFLATED)


def _check(name: str, folder: Path) -> list[list[str]]:
    """The cells of an accepted file."""
    submitted = read_submitted(folder / name)
    refuse_unfit(check_submitted(CheckSubmissionParams(), submitted, np.arange(40)))
    return [str(submitted.header).split(","), *submitted.table.to_numpy().tolist()]


def _make_test_file(folder: Path) -> None:
    pq.write_table(pa.table({"ID": np.arange(200) * 2, "user_id": np.arange(200)}), folder / "test.parquet")


# --- the list --------------------------------------------------------------------------------------------

ROWS = InteractionLogParams(positive_rating=3, log={"rating": "rating"})
SEQUENCES = InteractionLogParams(log={"format": "sequences", "file": "pairs.tsv", "separator": "\t"})

READERS = [
    *(
        Reader(f"catalog {name}", partial(_make_artifact, name, value), partial(_load_artifact, name), weight=4)
        for name, value in ARTIFACTS.items()
    ),
    Reader("checkpoint", _make_checkpoint, _load_checkpoint, heals=lambda value, _: value is None, weight=4),
    Reader("vector store", _make_vectors, _load_vectors, heals=_fewer_vectors, weight=8),
    Reader("raw parquet, described before", _make_our_parquet, _process_described, weight=4),
    Reader("raw parquet of ours", _make_our_parquet, _process, _plain_parquet, weight=8),
    Reader("raw parquet of others", _make_foreign_parquet, _process, _plain_parquet, weight=12),
    Reader("log of rows", foreign.make_rows, lambda folder: read_log(folder, ROWS), foreign.plain_rows, weight=8),
    Reader(
        "log of sequences", foreign.make_sequences, lambda folder: read_log(folder, SEQUENCES),
        foreign.plain_sequences, weight=6,
    ),
    *(
        Reader(f"covers{end or ' in a folder'}", partial(foreign.make_covers, end), foreign.read_covers,
               partial(foreign.plain_covers, end), weight=6)
        for end in ("", ".zip", ".tar", ".tar.gz")
    ),
    Reader("check_submission csv", _make_csv, partial(_check, "prediction.csv"), foreign.plain_csv, weight=8),
    Reader("check_submission zip", _make_zip, partial(_check, "a.zip"), foreign.plain_zip, weight=6),
    Reader("check_submission test file", _make_test_file, lambda folder: read_test_ids(folder / "test.parquet"),
           foreign.plain_test_ids, weight=4),
    Reader("settings", foreign.make_settings, foreign.read_settings, foreign.plain_settings, weight=4),
]  # fmt: skip
SKIPPED = {
    "covers.rar": "nothing here writes one; damaged ones are cut and flipped in tests/covers/test_rar_covers.py",
    "an encoder's folder": "third-party code reads it, after its seal (as that of clicks) is checked",
    "images": "decoding is tried on every cover above; a damaged one is reported and left out",
}
