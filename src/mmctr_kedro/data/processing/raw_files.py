"""Where the raw files come from, and which of them are there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mmctr_kedro.common.errors import InvalidDataError, MmctrError
from mmctr_kedro.common.files import sha256
from mmctr_kedro.data.challenge import PATHS, SPLITS, RawFolder
from mmctr_kedro.data.covers import files_below, find_container
from mmctr_kedro.data.parquet import open_parquet
from mmctr_kedro.data.settings import SourceParams

REQUIRED = (*SPLITS, "item_info")


def describe(source: SourceParams, folder: RawFolder) -> dict[str, Any]:
    """The contract ``raw_files``: source, world version, and path, bytes, rows and SHA-256 of every file.

    Rows are null where the file is no sound parquet; validation says what is wrong with it. ``covers`` is null where
    there are none; the digest of a folder of covers is that of its sorted lines ``path sha256``.
    """
    again = "then run again, in the same --env: kedro run --pipeline data_processing"
    advice = f"They were written to {folder.path} just now: leave that folder alone, {again}"
    if source.name == "challenge_files":
        advice = f"Put them into {folder.path}, or name their folder: --params challenge_folder=...; {again}"
    names = files_there(folder, advice)
    world_version = None
    for name in ("world.json", "import_log.json"):  # what writers of ours say of the files beside them
        try:
            record = json.loads((folder.path / name).read_bytes()) if (folder.path / name).is_file() else {}
            finished, version = record.get("finished"), record.get("world_version")
        except (ValueError, AttributeError) as error:
            advice = f"It says who wrote the files in {folder.path}: make them again, or remove it if they are yours."
            raise InvalidDataError([f"{name} is no JSON object"], advice) from error
        if finished is False:
            raise InvalidDataError(
                [f"{name} says that the run which wrote these files did not end"],
                f"Make them again in {folder.path}: kedro run, with the source they are from (simulated, "
                "interaction_log)",
            )
        world_version = world_version or version
    files = {}
    for name, path in ((name, folder.file(name)) for name in names):
        try:
            rows = open_parquet(path).metadata.num_rows
        except MmctrError:
            rows = None
        files[name] = {"path": PATHS[name], "bytes": path.stat().st_size, "rows": rows, "sha256": sha256(path)}
    return {"source": source.name, "world_version": world_version, "files": files, "covers": _covers(folder.path)}


def files_there(folder: RawFolder, advice: str) -> list[str]:
    """Which of the challenge's files there are, as keys of ``PATHS``.

    Raises:
        InvalidDataError: A file without which there is nothing to do is missing; ``advice`` says what to do.
    """
    names = [name for name in PATHS if folder.file(name).is_file()]
    if missing := [PATHS[name] for name in REQUIRED if name not in names]:
        raise InvalidDataError([f"{path} is missing" for path in missing], advice)
    return names


def refuse_changed(raw_files: dict[str, Any], folder: RawFolder) -> None:
    """Make sure that every file is still the one ``describe`` saw.

    Raises:
        InvalidDataError: Which files are gone or have another SHA-256, with both digests.
    """
    problems = []
    for name, entry in raw_files["files"].items():
        path = folder.file(name)
        seen = sha256(path) if path.is_file() else "no file"
        if seen != entry["sha256"]:
            problems.append(f"{PATHS[name]}: raw_files has SHA-256 {entry['sha256']}, the file now {seen}")
    if problems:
        raise InvalidDataError(
            problems,
            f"Files in {folder.path} have changed since they were described. If that is meant, describe them again: "
            "kedro run --pipeline data_processing",
        )


def _covers(folder: Path) -> dict[str, Any] | None:
    """What is said of the folder or archive that ``Covers.find`` reads."""
    path = find_container(folder)
    if path is None:
        return None
    if path.is_file():
        return {"path": path.name, "files": 1, "bytes": path.stat().st_size, "sha256": sha256(path)}
    names = {name: path / name for name in files_below(path) if (path / name).is_file()}
    lines = [f"{name} {sha256(file)}\n" for name, file in sorted(names.items())]
    return {
        "path": path.name,
        "files": len(names),
        "bytes": sum(file.stat().st_size for file in names.values()),
        "sha256": hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest(),
    }
