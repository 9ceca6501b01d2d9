"""Runs as small as a comparison takes: clicks drawn at random, predictions that know a little, and a record of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from kedro.io import Version

from mmctr_kedro.common.params import nested
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.zips import RecordDataset
from mmctr_kedro.evaluation.evaluate import evaluate
from mmctr_kedro.evaluation.slices import Rows, rows_of
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.pipelines.settings import resolved
from mmctr_kedro.submission.bundle import Bundle, Results, record
from mmctr_kedro.submission.runs import RECORDS, Run

USERS, ITEMS = 150, 30


def clicks(seed: int = 0) -> Clicks:
    """Four rows for each user, one of them a click, over histories of 3 to 40 clicks."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 41, USERS)
    rows = 4 * USERS
    return Clicks(
        history_user=np.arange(USERS, dtype=np.int32),
        history_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        history_items=rng.integers(1, ITEMS, lengths.sum()).astype(np.int32),
        history=np.repeat(np.arange(USERS, dtype=np.int32), 4),
        item=rng.integers(1, ITEMS + 10, rows).astype(np.int32),
        likes_level=np.zeros(rows, np.int8),
        views_level=np.zeros(rows, np.int8),
        row_id=np.arange(rows),
        label=rng.permuted(np.tile([1, 0, 0, 0], (USERS, 1)), axis=1).ravel().astype(np.int8),
    )


def predictions(valid: Clicks, strength: float, seed: int = 1) -> np.ndarray:
    """pCTR ``[R]`` float32 that knows the label as far as ``strength`` goes."""
    noise = np.random.default_rng(seed).normal(size=len(valid))
    return (1 / (1 + np.exp(-(strength * np.asarray(valid.label) + noise)))).astype(np.float32)


@dataclass
class FakeProject:
    """What surrounds a run, without git and machine."""

    commit: str | None = "a" * 40
    changes: list[str] = field(default_factory=list)
    sha256: str = "c" * 64
    version: str = "0.1.0"
    time: str = "2026-01-01T00:00:00+00:00"

    def versions(self) -> dict[str, str]:
        return {"python": "3.11"}

    def hardware(self) -> dict[str, Any]:
        return {"gpu": "none", "cores": 2}

    def moment(self) -> dict[str, str]:
        return {"host": "here", "time": self.time}


def made(
    valid: Clicks,
    pctr: np.ndarray,
    task: str = "task2",
    parameters: dict[str, Any] | None = None,
    leak: bool = True,
    data: str = "1" * 64,
    **project: Any,
) -> Bundle:
    """The record of a run; ``parameters`` by their dotted names."""
    train = clicks(seed=9)
    of_all = evaluate(valid, pctr, train)
    without = {"auc": of_all["auc"], "auc_interval": of_all["auc_interval"], "how": "retrained"} if leak else None
    metrics = {"task": task, "model": "evidence", "without_leak": without, "not_submittable": [], **of_all}
    model = TrainedModel({"trained_with": {}}, {})
    files = {
        name: {"path": f"{name}.parquet", "rows": len(rows), "sha256": data, "bytes": 1}
        for name, rows in (("train", train), ("valid", valid))
    }
    raw = {"source": "simulated", "world_version": "4", "files": files, "covers": None}
    results = Results(model, model, [], metrics | {"run": {"seconds": 1.0, "rows_per_second": 1.0}}, [])
    settings = resolved(nested(parameters or {}))
    return record(settings, FakeProject(**project), raw, {task: results}, {task: np.stack([pctr, pctr])})


def saved(root: Path, bundle: Bundle, version: str) -> Run:
    """The run, its record where a run with this data root leaves it."""
    [task] = bundle.manifest["tasks"]
    path = root / RECORDS.format(task=task)
    RecordDataset(filepath=str(path), version=Version(None, version)).save(bundle)
    return Run(path / version / path.name, task, bundle)


def rows(valid: Clicks) -> Rows:
    """Of the train rows that ``made`` knows."""
    return rows_of(valid, clicks(seed=9))
