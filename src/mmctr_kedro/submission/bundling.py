"""The bundle beside a submission: what was done, by which code, with what result, and all it takes to do it again."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import yaml

from mmctr_kedro.common.params import ABSENT, SETTINGS, TASKS, find, leaves
from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.model_file import model_bytes
from mmctr_kedro.running.credentials import redacted
from mmctr_kedro.running.project import LOCK, Project
from mmctr_kedro.submission.reproduce import reproduce
from mmctr_kedro.submission.zip_file import submission_bytes

FORMAT = 1
ROOT = "data/reproduced"  # where the settings of a bundle write
TIMED = ("training_history.json", "metrics.json", "report.html")  # artifacts that tell how long something took


@dataclass(frozen=True)
class Bundle:
    """Its manifest, and its other members by name; ``manifest["files"]`` has their SHA-256."""

    manifest: dict[str, Any]
    files: dict[str, bytes]


def make_bundle(
    parameters: dict[str, Any],
    project: Project,
    raw_files: dict[str, Any],
    artifacts: dict[str, str],
    submission: Submission,
    item_embedding: np.ndarray,
    report: str,
    ctr_model: TrainedModel,
    predictions: pd.DataFrame,
    training_history: list[dict[str, Any]],
    metrics: dict[str, Any],
    rules: list[dict[str, Any]],
    *,
    task: str,
) -> Bundle:
    """The bundle of one task.

    Args:
        parameters: The merged tree of conf/ and ``--params``.
        raw_files: Path, rows and SHA-256 of every raw file.
        artifacts: SHA-256 of every finished file by its path below the data root.
        item_embedding: What the model was trained on; packed where it is not the provided one.
        report: Only so that this comes last: its file is among the artifacts.
    """
    of_task = {task: (ctr_model, predictions, training_history, metrics, rules)}
    embedding = None if task == "task2" else item_embedding
    return _bundle(parameters, project, raw_files, artifacts, submission, embedding, of_task)


def make_combined_bundle(
    parameters: dict[str, Any],
    project: Project,
    raw_files: dict[str, Any],
    artifacts: dict[str, str],
    submission: Submission,
    item_embedding: np.ndarray,
    report: str,
    *of_each_task: Any,
) -> Bundle:
    """The bundle of all three tasks; ``of_each_task`` are the five last arguments of ``make_bundle``, task by task."""
    of_task = {task: of_each_task[5 * turn : 5 * turn + 5] for turn, task in enumerate(TASKS)}
    return _bundle(parameters, project, raw_files, artifacts, submission, item_embedding, of_task)


def _bundle(
    parameters: dict[str, Any],
    project: Project,
    raw_files: dict[str, Any],
    artifacts: dict[str, str],
    submission: Submission,
    item_embedding: np.ndarray | None,
    of_task: dict[str, Any],
) -> Bundle:
    settings = resolved(parameters)
    files = {
        "conf/parameters.yml": _yaml(_nested(settings)),
        "conf/globals.yml": _yaml({"root": ROOT, "embedding": {"variant": settings["embedding"]["variant"]}}),
        LOCK: project.lock,
        "submission.zip": submission_bytes(submission),
    }
    if (source := project.archive()) is not None:
        files["source.tar"] = source
    if item_embedding is not None:
        files["item_embedding.npy"] = npy_bytes(item_embedding)
    for task, (model, predictions, *_) in of_task.items():
        files[f"{task}/ctr_model.safetensors"] = model_bytes(model)
        files[f"{task}/predictions.parquet"] = parquet_bytes(predictions)
    files["REPRODUCE.md"] = reproduce(list(of_task), project, submission, raw_files, settings).encode()
    manifest = {
        "format": FORMAT,
        "tasks": list(of_task),
        "not_submittable": list(submission.not_submittable),
        "commit": project.commit,
        "changes": project.changes,
        "settings": settings,
        "seeds": {name: value for name, value in leaves(settings) if name.split(".")[-1] in ("seed", "user_seed")},
        "versions": project.versions(),
        "hardware": project.hardware(),
        "trained_with": {task: model.settings["trained_with"] for task, (model, *_) in of_task.items()},
        "not_reproducible_bit_for_bit": sources_of_randomness(settings, project),
        "raw_files": raw_files,
        "artifacts": {name: sha for name, sha in artifacts.items() if not name.endswith(TIMED)},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "metrics": {task: {k: v for k, v in made[3].items() if k != "run"} for task, made in of_task.items()},
        "rules": {task: made[4] for task, made in of_task.items()},
        "run": {
            **project.moment(),
            "training": {task: made[3]["run"] for task, made in of_task.items()},
            "evaluations": {task: made[2] for task, made in of_task.items()},
            "artifacts": {name: sha for name, sha in artifacts.items() if name.endswith(TIMED)},
        },
    }
    return Bundle(redacted(manifest), files)


def resolved(parameters: dict[str, Any]) -> dict[str, Any]:
    """Every setting of the project with its value, defaults included, by block (``SETTINGS``)."""
    blocks = ((name, settings, find(parameters, name)) for name, settings in SETTINGS.items())
    return {
        name: settings.model_validate({} if block is ABSENT else block).model_dump(mode="json")
        for name, settings, block in blocks
    }


def sources_of_randomness(settings: dict[str, Any], project: Project) -> list[str]:
    """What keeps two runs with the same settings from the same bytes; nothing on a CPU without Ray."""
    found = []
    if settings["embedding"]["engine"] == "ray":
        found.append("embedding.engine ray: batches of other sizes round otherwise, by about 1e-6 of a vector's length")
    if project.hardware()["gpu"] != "none":
        found.append("GPU: encoders' kernels and their choice by cuDNN; CTR training asks for deterministic kernels")
    return found


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as a .npy file has it."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """A table as a .parquet file has it."""
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


def _nested(settings: dict[str, Any]) -> dict[str, Any]:
    """Blocks named ``task1.ctr`` as ``{"task1": {"ctr": ...}}``, the form of conf/."""
    tree: dict[str, Any] = {}
    for name, block in settings.items():
        *parents, leaf = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = block
    return tree


def _yaml(tree: dict[str, Any]) -> bytes:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode()
