"""Where the raw files come from, and which of them are there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kedro.challenge import CONTAINERS, COVERS, PATHS, RawFolder
from mmctr_kedro.errors import InvalidDataError
from mmctr_kedro.params import InteractionLogParams, SourceParams, WorldParams

REQUIRED = ("train", "valid", "test", "item_info", "item_feature")
OPTIONAL = ("item_emb", "item_seq", "tag_words")


def provide(
    source: SourceParams,
    simulate: WorldParams,
    import_log: InteractionLogParams,
    challenge_folder: RawFolder,
    log_folder: RawFolder,
) -> pd.DataFrame:
    """Write the challenge's files if the source says so; returns the truth, empty where nobody knows it."""
    writers = {
        "simulated": lambda: _simulated(simulate, challenge_folder),
        "interaction_log": lambda: _imported(import_log, log_folder, challenge_folder),
        "challenge_files": unknown_truth,
    }
    return writers[source.name]()


def unknown_truth() -> pd.DataFrame:
    """The truth about data nobody simulated: its columns and types, no rows."""
    types = {"split": "str", "row_id": "int64", "posterior": "float64"}
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in types.items()})


def describe(source: SourceParams, folder: RawFolder) -> dict[str, Any]:
    """The contract ``raw_files``: source, world version, and path, bytes, rows and SHA-256 of every file.

    Rows are null where the file is no parquet; validation says what is wrong with it.
    """
    names = [name for name in PATHS if folder.file(name).is_file()]
    if missing := [name for name in REQUIRED if name not in names]:
        raise InvalidDataError([f"{PATHS[name]} is missing" for name in missing], _advice(source, folder))
    records = {name: _record(folder.path / name) for name in ("world.json", "import_log.json")}
    if halves := [name for name, record in records.items() if record.get("finished") is False]:
        raise InvalidDataError(
            [f"{name} says that the run which wrote these files did not end" for name in halves],
            f"Make them again in {folder.path}: kedro run, with the source they are from (simulated, interaction_log)",
        )
    covers = [f"{COVERS}{end}" for end in CONTAINERS if (folder.path / f"{COVERS}{end}").exists()]
    return {
        "source": source.name,
        "world_version": records["world.json"].get("world_version"),
        "files": {name: _file(folder.file(name), PATHS[name]) for name in names},
        "covers": covers[0] if covers else None,
    }


def _record(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def _advice(source: SourceParams, folder: RawFolder) -> str:
    again = "then run again, in the same --env: kedro run --pipeline data_processing"
    if source.name == "challenge_files":
        return f"Put them into {folder.path}, or name their folder: --params challenge_folder=...; {again}"
    return f"They were written to {folder.path} just now: leave that folder alone, {again}"


def _file(path: Path, name: str) -> dict[str, Any]:
    try:
        rows = pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError):
        rows = None
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"path": name, "bytes": path.stat().st_size, "rows": rows, "sha256": digest}


# Both writers bring heavy imports of their own.


def _simulated(params: WorldParams, folder: RawFolder) -> pd.DataFrame:
    from mmctr_kedro.worlds import write_world

    return write_world(params, folder)


def _imported(params: InteractionLogParams, log_folder: RawFolder, folder: RawFolder) -> pd.DataFrame:
    from mmctr_kedro.pipelines.import_log.nodes import import_log

    import_log(params, log_folder, folder)
    return unknown_truth()
