"""The test rows: predicted and scored once, after every choice is frozen.

Files beside the runs (``FROZEN``) say which trainings were frozen when, under which study.yml. Nothing is scored again
with other choices, settings or data unless a reason is given, which the page prints.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import data
from benchmarks.study.difference import difference
from benchmarks.study.plan import CHOICES, Choices, Run
from benchmarks.study.train import build, commit, measures, write_json
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.common.machine import reproducible
from mmctr_kedro.evaluation.bootstrap import Resamples
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.training.loop import predict

FROZEN = {
    "model": "frozen.json",
    "leak_free": "frozen_leak_free.json",
}  # by kind of run
RESAMPLES = 2000

Record = dict[str, Any]


def freezes(out: Path, kind: str = "model") -> list[dict[str, Any]]:
    """Every freeze of this kind of run so far, oldest first."""
    path = out / FROZEN[kind]
    return json.loads(path.read_text()) if path.is_file() else []


def freeze(choices: Choices, records: list[Record], out: Path, reason: str | None, kind: str = "model") -> None:
    """Write down what is about to be scored; refuses what was scored before with other keys, unless there is a reason.

    Args:
        records: Of all runs to be scored.
    """
    past, chosen = freezes(out, kind), choices.digest()
    before = {name: key for frozen in past for name, key in frozen["runs"].items()}
    now = {record["name"]: record["key"] for record in records}
    changed = sorted(name for name, key in now.items() if before.get(name, key) != key)
    if past and past[-1]["choices"] != chosen:
        changed.append(str(CHOICES.name))
    if changed and not reason:
        raise MmctrError(
            f"Test rows were scored before and {', '.join(changed[:3])} differ(s) now: test rows are scored once. If "
            "they must be scored again, say why: ARGS=\"--rescore 'why'\"; the page prints it."
        )
    if not changed and set(now) <= set(before):
        return
    entry = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "choices": chosen,
        **commit(),
        "again": reason if changed else None,
        "runs": now,
    }
    write_json([*past, entry], out / FROZEN[kind])


def score(
    choices: Choices,
    pairs: list[tuple[Run, Record]],
    roots: dict[str, Path],
    out: Path,
    threads: int,
    say: Callable[[str], None] = print,
) -> dict[str, dict[str, Any]]:
    """Predict and score test for every run that has none, updating its record.

    Returns:
        Per data set: ``best_test_auc`` (null where unknown).
    """
    known = {}
    for name in dict.fromkeys(run.data for run, _ in pairs):
        choice, root = choices.data[name], roots[name]
        label = data.hidden_labels(choice, root)
        known[name] = {"best_test_auc": data.best_auc(root, "test", label)}
        for run, record in pairs:
            if run.data != name or (record["test"] is not None and _predictions(run, out).is_file()):
                continue
            tables = data.load(root, choices.embedding_file(run.data), run.kind)
            pctr = predict_test(run, record, tables, out, threads)
            with atomic_write(_predictions(run, out)) as path, path.open("wb") as file:
                np.savez(file, row_id=np.asarray(tables.test.row_id), pctr=pctr)
            record["test"] = measures(tables.test, pctr, label)
            write_json(record, out / f"{run.name}.json")
            say(f"{run.name}: scored on {len(label):,} test rows")
    return known


def _predictions(run: Run, out: Path) -> Path:
    return out / f"{run.name}.test.npz"


def predict_test(run: Run, record: Record, tables: data.Tables, out: Path, threads: int) -> np.ndarray:
    """pCTR of every test row by the stored weights of a run, ``[R]`` float32."""
    from safetensors.torch import load_file

    params = CtrParams(**run.settings | {"model": record["model"]}, threads=threads)
    with reproducible(params) as device:
        model = build(params, tables).to(device)
        model.load_state_dict(load_file(out / f"{run.name}.safetensors"))
        return predict(model, tables.test, params)


def compare(
    choices: Choices, pairs: list[tuple[Run, Record]], roots: dict[str, Path], out: Path, resamples: int = RESAMPLES
) -> list[dict[str, Any]]:
    """Our model against each other one, on every data set, from the stored test predictions."""
    compared = []
    for name in dict.fromkeys(run.data for run, _ in pairs):
        runs: dict[str, list[tuple[Run, Record]]] = {choices.ours: []}
        for run, record in pairs:
            if run.data == name:
                runs.setdefault(run.label, []).append((run, record))
        ours, *others = runs
        label = data.hidden_labels(choices.data[name], roots[name])
        user = np.asarray(data.load(roots[name], choices.embedding_file(name)).test.user)
        points = {one: np.array([record["test"]["auc"] for _, record in found]) for one, found in runs.items()}
        most = max(len(found) for found in runs.values())
        # The users drawn do not depend on how many seeds there are.
        resampled = {seeds: Resamples(user, seeds, resamples) for seeds in range(1, most + 1)}
        aucs = {
            one: np.column_stack(
                [resampled[most].aucs(label, np.load(_predictions(run, out))["pctr"]) for run, _ in of]
            )
            for one, of in runs.items()
        }
        for other in others:
            seeds = min(len(runs[ours]), len(runs[other]))  # some have fewer; both lists begin with the same ones
            drawn = resampled[seeds]
            found = difference(
                drawn, points[ours][:seeds], points[other][:seeds], aucs[ours][:, :seeds], aucs[other][:, :seeds]
            )
            compared.append(
                {
                    "data": name,
                    "ours": ours,
                    "other": other,
                    **asdict(found),
                    "excludes_zero": found.excludes_zero,
                    "resamples": drawn.count,
                    "rows": len(label),
                    "users": drawn.users,
                    "seeds": seeds,
                }
            )
    return compared
