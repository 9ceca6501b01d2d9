"""The bundle beside a submission: what was done, by which code, with what result, and all it takes to do it again.

It is made, written, read, and compared with what surrounds a later run. At its core is the record of the run, itself a
bundle: the manifest and the predictions of the valid rows, which is all that another run is compared with.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import leaves, nested
from mmctr_kedro.common.words import and_more
from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.model_file import model_bytes, read_model
from mmctr_kedro.running.credentials import redacted
from mmctr_kedro.running.project import LOCK, TEMPLATE, Project
from mmctr_kedro.submission.reproduce_md import reproduce
from mmctr_kedro.submission.rules import broken
from mmctr_kedro.submission.submission_zip import pack, read_submission, submission_bytes, unpack

FORMAT = 6
MANIFEST = "manifest.json"
LARGEST = 4 << 30  # bytes of all members together: more is no bundle of ours
ROOT = "data/reproduced"  # where the settings of a bundle write
SOURCE = ("src/", "conf/base/", "pyproject.toml")  # what of the code decides a result, beside the lock


class Results(NamedTuple):
    """What a task made."""

    ctr_model: TrainedModel
    leak_free_model: TrainedModel
    training_history: list[dict[str, Any]]
    metrics: dict[str, Any]
    rules: list[dict[str, Any]]


@dataclass(frozen=True)
class Bundle:
    """Its manifest, and its other members by name; ``manifest["files"]`` has their SHA-256."""

    manifest: dict[str, Any]
    files: dict[str, bytes]

    @property
    def submission(self) -> Submission:
        """What was submitted."""
        return read_submission(io.BytesIO(self.files["submission.zip"]))

    def results(self) -> dict[str, Results]:
        """What was made, by task."""
        manifest, run = self.manifest, self.manifest["run"]
        return {
            task: Results(
                ctr_model,
                leak_free_model,
                run["evaluations"][task],
                manifest["metrics"][task] | {"run": run["training"][task]},
                manifest["rules"][task],
            )
            for task in manifest["tasks"]
            for ctr_model, leak_free_model in [[read_model(self.files[name], name) for name in _models_of(task)]]
        }

    def valid_pctr(self) -> dict[str, np.ndarray]:
        """By task ``[2, R]`` float32: what its two models predict of the R valid rows, in their order.

        The first is the one that predicted what was submitted, the second knows no leak.

        Raises:
            MmctrError: A member is missing or no array.
        """
        names = {task: _pctr_of(task) for task in self.manifest["tasks"]}
        try:
            return {task: np.load(io.BytesIO(self.files[name]), allow_pickle=False) for task, name in names.items()}
        except (KeyError, ValueError, EOFError) as error:
            said = f"{', '.join(names.values())}: missing or no array ({type(error).__name__}: {error})"
            raise MmctrError(f"{said}. Fetch the bundle or record again.") from error

    @property
    def id(self) -> str:
        """Eight letters that no other run has; those of its record are the same."""
        said = {name: value for name, value in self.manifest.items() if name != "files"}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]


def record(
    settings: dict[str, dict[str, Any]],
    project: Project,
    raw_files: dict[str, Any],
    results: dict[str, Results],
    valid_pctr: dict[str, np.ndarray],
) -> Bundle:
    """What the run of one task, or of several together, leaves to be compared with others.

    Args:
        settings: Every block of conf/ by its name, defaults included.
        raw_files: Path, rows and SHA-256 of every raw file.
        results: By task.
        valid_pctr: By task, as ``Bundle.valid_pctr``.
    """
    hardware, random = project.hardware(), []
    if settings["embedding"]["engine"] == "ray":
        random.append(
            "embedding.engine ray: batches of other sizes round otherwise, by about 1e-6 of a vector's length"
        )
    if hardware["gpu"] != "none":
        random.append("GPU: encoders' kernels and their choice by cuDNN; CTR training asks for deterministic kernels")
    manifest = {
        "format": FORMAT,
        "tasks": list(results),
        "not_submittable": [f"{task}: {reason}" for task, made in results.items() for reason in broken(made.rules)],
        "commit": project.commit,
        "changes": project.changes,
        "version": project.version,
        "code": project.sha256,
        "settings": settings,
        "seeds": {name: value for name, value in leaves(settings) if name.split(".")[-1] in ("seed", "user_seed")},
        "versions": project.versions(),
        "hardware": hardware,
        "trained_with": {task: made.ctr_model.settings["trained_with"] for task, made in results.items()},
        "not_reproducible_bit_for_bit": random,
        "raw_files": raw_files,
        "metrics": {
            task: {name: value for name, value in made.metrics.items() if name != "run"}
            for task, made in results.items()
        },
        "rules": {task: made.rules for task, made in results.items()},
        "run": {  # all that a repetition does not repeat
            **project.moment(),
            "training": {task: made.metrics["run"] for task, made in results.items()},
            "evaluations": {task: made.training_history for task, made in results.items()},
        },
    }
    return _sealed(redacted(manifest), {_pctr_of(task): _array_bytes(pctr) for task, pctr in valid_pctr.items()})


def bundle(
    record: Bundle,
    project: Project,
    submission: Submission,
    item_embedding: np.ndarray,
    results: dict[str, Results],
) -> Bundle:
    """The record of a run with all it takes to do it again.

    Args:
        record: What was done, and with what result.
        item_embedding: What the models were trained on; packed where it is not the provided one.
        results: By task; of them the models.
    """
    said, settings = record.manifest, record.manifest["settings"]
    choices = {"root": ROOT, "embedding": {"variant": settings["embedding"]["variant"]}}
    files = {
        "conf/parameters.yml": yaml.safe_dump(nested(settings), sort_keys=False, allow_unicode=True).encode(),
        "conf/globals.yml": yaml.safe_dump(choices, sort_keys=False).encode(),
        LOCK: project.lock,
        "submission.zip": submission_bytes(submission),
        **record.files,
    }
    if (source := project.archive()) is not None:
        files["source.tar"] = source
    if set(results) != {"task2"}:
        files["item_embedding.npy"] = _array_bytes(item_embedding)
    for task, made in results.items():
        files |= dict(zip(_models_of(task), map(model_bytes, (made.ctr_model, made.leak_free_model)), strict=True))
    files["REPRODUCE.md"] = reproduce(
        said["tasks"], project, submission, said["raw_files"], settings["source"]["name"]
    ).encode()
    return _sealed(said, files)


def _sealed(manifest: dict[str, Any], files: dict[str, bytes]) -> Bundle:
    """The bundle of these members, whose SHA-256 its manifest has."""
    return Bundle(manifest | {"files": {name: hashlib.sha256(of).hexdigest() for name, of in files.items()}}, files)


def _models_of(task: str) -> list[str]:
    """Its models' members: the one that predicted what was submitted, and the one to put to use."""
    return [f"{task}/{name}.safetensors" for name in ("ctr_model", "leak_free_model")]


def _pctr_of(task: str) -> str:
    """The member with what its two models predict of the valid rows."""
    return f"{task}/valid_pctr.npy"


def _array_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def bundle_bytes(bundle: Bundle) -> bytes:
    """The zip's bytes, equal for equal bundles."""
    manifest = json.dumps(bundle.manifest, indent=1, sort_keys=True, allow_nan=False) + "\n"
    return pack({MANIFEST: manifest.encode(), **bundle.files})


def read_bundle(path: Path) -> Bundle:
    """A bundle from its zip, taking nobody's word: every member is what the manifest says.

    Raises:
        MmctrError: There is none, or it is no bundle of this project, or a damaged one.
    """
    if not path.is_file():
        raise MmctrError(
            f"There is no bundle {path}. Name one by --params verify.bundle=path/to/bundle.zip, or make it: kedro run"
        )
    try:
        files = unpack(path, LARGEST)
        manifest = json.loads(files.pop(MANIFEST))
        expected, format_ = manifest["files"], manifest["format"]
        found = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        if wrong := _unlike(found, expected):
            raise MmctrError(f"{', '.join(wrong[:5])} missing, unknown or not as the manifest says (SHA-256)")
        if format_ != FORMAT:
            raise MmctrError(f"its format is {format_!r}, this version of the project reads {FORMAT}")
    except (KeyError, TypeError, ValueError) as error:
        unread = f"no {MANIFEST} of ours ({type(error).__name__}: {error})"
        reason = error if isinstance(error, MmctrError) else unread
        raise MmctrError(f"{path} is no bundle of this project, or a damaged one: {reason}. Fetch it again.") from error
    return Bundle(manifest, files)


def differences(bundle: Bundle, project: Project) -> dict[str, str]:
    """What surrounds this run and differs from what surrounded the bundle's.

    Returns:
        By kind (versions, lock, machine, code), in words; a kind that is the same is left out.
    """
    manifest = bundle.manifest
    found = {"lock": [] if bundle.files.get(LOCK) == project.lock else [f"another {LOCK}"]}
    kinds: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "versions": (manifest["versions"], project.versions()),
        "machine": (manifest["hardware"], dict(project.hardware())),
    }
    for kind, (theirs, ours) in kinds.items():
        found[kind] = [f"{name} {theirs.get(name)} -> {ours.get(name)}" for name in _unlike(theirs, ours)]
    if "source.tar" not in bundle.files:
        found["code"] = ["the bundle has no source archive, so this code cannot be compared with its own"]
    else:
        with tarfile.open(fileobj=io.BytesIO(bundle.files["source.tar"])) as archive:
            members = [member for member in archive if member.isfile() and member.name.startswith(SOURCE)]
            members = [member for member in members if not member.name.startswith(TEMPLATE)]
            then = {member.name: stream.read() for member in members if (stream := archive.extractfile(member))}
        beside = {name: file.read_bytes() for name in then if (file := project.path / name).is_file()}
        now = beside | project.code
        changed = _unlike(then, now) + [f"{name} (changed in the bundle's own tree)" for name in manifest["changes"]]
        found["code"] = [f"commit {manifest['commit']}, here {project.commit}", *changed] if changed else []
    return {kind: and_more(said, 6) for kind, said in found.items() if said}


def _unlike(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names that two dicts do not have with one value, sorted."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
