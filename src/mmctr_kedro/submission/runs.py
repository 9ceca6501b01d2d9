"""Runs that are compared: found by folder, file or id, and what of them differs besides their predictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import TASKS, leaves
from mmctr_kedro.common.seals import check_seal
from mmctr_kedro.common.words import and_more
from mmctr_kedro.submission.bundle import Bundle, read_bundle

RECORDS = "12_runs/{task}.zip"  # below a data root, as the catalog has them; in it a folder per version
_IDLE = {"finetune", "score", "export", "tune", "serve", "verify", "check_submission"}  # make no prediction of a run
_DATA = {"challenge_files": set(), "simulated": {"simulate"}, "interaction_log": {"import_log"}}  # read by that source


class Run(NamedTuple):
    """One task of a run, from its record or its bundle."""

    path: Path
    task: str
    bundle: Bundle

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run says of itself."""
        return self.bundle.manifest

    @property
    def metrics(self) -> dict[str, Any]:
        """Of the valid rows."""
        return self.manifest["metrics"][self.task]

    @property
    def pctr(self) -> np.ndarray:
        """``[2, R]`` float32 of the valid rows: what was submitted, and without the leak."""
        return self.bundle.valid_pctr()[self.task]

    @property
    def embedding(self) -> str:
        """The item embedding that the model read."""
        return "provided" if self.task == "task2" else self.manifest["settings"]["embedding"]["variant"]

    @property
    def data(self) -> str:
        """What it was trained on, in a word or two."""
        settings, raw = self.manifest["settings"], self.manifest["raw_files"]
        train = raw["files"]["train"]
        rows = f"{train['rows']:,} rows"
        if raw["source"] == "simulated":
            return f"world {raw['world_version']} {settings['simulate']['law']}, {rows}"
        return f"{raw['source'].replace('_', ' ')} {train['sha256'][:6]}, {rows}"

    @property
    def made(self) -> str:
        """When, to the minute, in UTC."""
        return self.manifest["run"]["time"][:16].replace("T", " ")

    @property
    def seconds(self) -> float:
        """Of its training."""
        return self.manifest["run"]["training"][self.task]["seconds"]

    @property
    def code(self) -> str:
        """The commit it ran from, marked where files of the tree were not in it; or the version of the package."""
        commit = self.manifest["commit"]
        version = f"version {self.manifest['version']}"
        return version if commit is None else commit[:8] + ("*" if self.manifest["changes"] else "")


def runs_below(folder: Path) -> tuple[list[Run], list[str]]:
    """The runs whose records lie in ``folder`` or deeper, newest first, and why any other record is not read."""
    found, unread = [], []
    for task in TASKS:
        for path in folder.glob(f"**/{RECORDS.format(task=task)}/*/{task}.zip"):
            try:
                found += _read(path)
            except MmctrError as error:
                unread.append(str(error))
    return sorted(found, key=lambda run: (run.manifest["run"]["time"], run.task), reverse=True), unread


def find_runs(names: Sequence[str], task: str | None, below: Path) -> list[Run]:
    """The run that each name means: a folder's newest, that of a bundle or record, or the one of an id.

    Args:
        names: Folders of results, files, or ids as the board prints them.
        task: Which of a run's tasks; needed only where nothing else says it.
        below: Where the records of ids are searched.

    Raises:
        MmctrError: There is none of a name, or several tasks and none was asked for.
    """
    choices = [_choices(name, below) for name in names]
    alone = {task for found in choices if len(found) == 1 for task in found}
    runs = []
    for name, found in zip(names, choices, strict=True):
        wanted = task or (next(iter(found)) if len(found) == 1 else next(iter(alone)) if len(alone) == 1 else None)
        if wanted is None:
            each = f"kedro compare {' '.join(names)} --task {next(reversed(found))}"
            raise MmctrError(f"{name} has {', '.join(found)}. Say which: {each}")
        if wanted not in found:
            raise MmctrError(f"{name} has no {wanted}; it has {', '.join(found)}. Name another run, or --task.")
        runs.append(found[wanted])
    return runs


def _choices(name: str, below: Path) -> dict[str, Run]:
    """By task the run that a name means."""
    path = Path(name).expanduser()
    if path.is_file():
        return {run.task: run for run in _read(path)}
    if path.is_dir():
        versions = {task: sorted(path.glob(f"{RECORDS.format(task=task)}/*/{task}.zip")) for task in TASKS}
        newest = [run for of in versions.values() if of for run in _read(of[-1])]
        if not newest:
            raise MmctrError(
                f"{path} holds no record of a run ({RECORDS.format(task='TASK')}). Every run leaves one in its folder: "
                f"kedro run --params root={path}, or name a bundle.zip."
            )
        return {run.task: run for run in newest}
    known = {run.bundle.id: run for run in runs_below(below)[0]}
    if name not in known:
        near = get_close_matches(name, known, n=3, cutoff=0.4) or list(known)[:3]
        hint = f"Did you mean {' or '.join(near)}?" if near else "There is none there yet: kedro run makes one."
        raise MmctrError(f"There is no folder, no file and below {below} no run {name}. {hint} All: kedro board")
    return {known[name].task: known[name]}


def _read(path: Path) -> list[Run]:
    check_seal(path)
    bundle = read_bundle(path)
    return [Run(path, task, bundle) for task in bundle.manifest["tasks"]]


# --- what differs -----------------------------------------------------------------------------------------

Row = list[Any]  # a name, then the value of each run; None where a run has none


def settings_that_differ(runs: Sequence[Run]) -> list[Row]:
    """The settings that decide a result and are not the same in all runs, by their dotted names.

    Runs of different tasks are compared by ``ctr``. What only some have, as another model's, is None in the others.
    """
    one_task = len({run.task for run in runs}) == 1
    return _differing([dict(_settings(run, f"{run.task}.ctr" if one_task else "ctr")) for run in runs])


def _settings(run: Run, own: str) -> Iterable[tuple[str, Any]]:
    """The leaves of the blocks that decide what this task predicts, as text."""
    settings = run.manifest["settings"]
    idle = _IDLE | set().union(*_DATA.values()) - _DATA[settings["source"]["name"]]
    provided = {"variant": "provided"}
    for name, block in (settings | {"embedding": provided if run.task == "task2" else _built(settings)}).items():
        if name == f"{run.task}.ctr" or (name not in idle and not name.endswith("ctr")):
            for key, value in leaves(block, own if name.endswith("ctr") else name):
                yield key, value if isinstance(value, str) else json.dumps(value)


def _built(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of the embedding without the blocks of variants that are not built."""
    block = settings["embedding"]
    used = {"text", "image", block["variant"]}
    used |= {block["semantic_ids"]["of"]} if "semantic_ids" in used else set()
    return {name: value for name, value in block.items() if not isinstance(value, dict) or name in used}


def surroundings_that_differ(runs: Sequence[Run]) -> dict[str, list[Row]]:
    """By kind (data, code, versions, machine) what is not the same in all runs; a kind that is the same is left out."""
    kinds: dict[str, Callable[[Run], dict[str, Any]]] = {
        "data": _files,
        "code": lambda run: {
            "commit": run.manifest["commit"] or run.code,
            "changed files": and_more(run.manifest["changes"]) or "none",
            "SHA-256": run.manifest["code"][:8],
        },
        "versions": lambda run: run.manifest["versions"],
        "machine": lambda run: run.manifest["hardware"],
    }
    found = {kind: _differing([of(run) for run in runs]) for kind, of in kinds.items()}
    return {kind: rows for kind, rows in found.items() if rows}


def _files(run: Run) -> dict[str, str]:
    """By raw file its rows and the beginning of its SHA-256."""
    raw = run.manifest["raw_files"]
    told = {of["path"]: f"{of['rows']:,} rows, {of['sha256'][:8]}" for of in raw["files"].values()}
    covers = raw["covers"]
    return told | ({} if covers is None else {"covers": f"{covers['files']:,} files, {covers['sha256'][:8]}"})


def _differing(values: Sequence[dict[str, Any]]) -> list[Row]:
    """The names that do not have one value in all, in the order in which they come."""
    names = dict.fromkeys(name for of in values for name in of)
    rows = [[name, *(of.get(name) for of in values)] for name in names]
    return [row for row in rows if any(value != row[1] for value in row[1:])]
