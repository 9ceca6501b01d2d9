"""One training of the study, in a process of its own: ``python -m benchmarks.study.train`` with a job on stdin.

A killed one goes on from its checkpoint when it is started again.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.study import data
from benchmarks.study.plan import ROOT, Run
from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.common.machine import reproducible
from mmctr_kedro.evaluation.metrics import auc, grouped_auc, logloss
from mmctr_kedro.models import build_model
from mmctr_kedro.models.layers import CtrModel
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.training.checkpoints import Checkpoints
from mmctr_kedro.training.comparing import Training as Compared
from mmctr_kedro.training.comparing import compare_pieces
from mmctr_kedro.training.loop import Training, best_evaluation, predict

CHECKPOINT_MINUTES = 2.0
DECIDING = (  # what decides a result, for the question whether it is committed
    *(f"src/mmctr_kedro/{room}" for room in ("common", "data", "worlds", "models", "evaluation", "training")),
    *(f"benchmarks/{part}" for part in ("study", "study.yml")),
)


def train(run: Run, key: dict[str, str], tables: data.Tables, out: Path, threads: int) -> dict[str, Any]:
    """Train, save the weights and then the record; returns the record.

    A model whose pieces must earn their place is trained with and without each, every training under the budget.
    """
    from safetensors.numpy import save_file

    checkpoints = Checkpoints(out / f"{run.name}.{'-'.join(key.values())}.checkpoint")
    asked = CtrParams(**run.settings, threads=threads, checkpoint_minutes=CHECKPOINT_MINUTES)
    trainings: list[tuple[list[dict[str, Any]], str]] = []

    def train_one(params: CtrParams) -> Compared:
        with reproducible(params) as device:
            model = build(params, tables).to(device)
            store = checkpoints.of(len(trainings))
            training = Training(model, tables.train, tables.valid, params, run.name, store)
            ended_by = fit_within(training, run.cpu_seconds)
            trainings.append((training.history, ended_by))
            weights = {name: value.numpy(force=True) for name, value in model.state_dict().items()}
            return Compared(params, weights, training.history, predict(model, tables.valid, params))

    kept, compared = compare_pieces(asked, tables.valid, train_one)
    history, pctr = kept.history, kept.pctr
    stopped_by = next(by for other, by in trainings if other is history)
    best = best_evaluation(history)
    steps = [entry for other, _ in trainings for entry in other]  # of all trainings that the model took
    seconds, cpu_seconds = (sum(entry[kind] for entry in steps) for kind in ("seconds", "cpu_seconds"))
    rows = sum(entry["seconds"] * entry["rows_per_second"] for entry in steps)
    record = {
        **{field: getattr(run, field) for field in ("name", "data", "embedding", "kind", "label", "seed")},
        "settings": run.settings,
        "model": kept.params.model.model_dump(mode="json"),
        "compared": compared,
        "key": key,
        "valid": measures(tables.valid, pctr),
        "test": None,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "cap_cpu_seconds": run.cpu_seconds,
        "rows_per_cpu_second": round(rows / max(cpu_seconds, 1e-9)),
        "parameters": sum(parameter.numel() for parameter in build(kept.params, tables).parameters()),
        "best_epoch": best["epoch"],
        "epochs": history[-1]["epoch"],
        "steps": history[-1]["step"],
        "stopped_by": stopped_by,
        **circumstances(threads),
    }
    with atomic_write(out / f"{run.name}.safetensors") as path:
        save_file(kept.weights, path)
    write_json(record, out / f"{run.name}.json")
    checkpoints.clear()
    return record


def build(params: CtrParams, tables: data.Tables) -> CtrModel:
    """The model of a run, from torch's random state."""
    return build_model(params, tables.item_tags, tables.item_embedding)


def fit_within(training: Training, cpu_seconds: float) -> str:
    """``training.loop.fit``, ended by a cap on the processor time of its steps too; what ended it.

    Processor time, because other trainings and other people use the machine too.
    """
    training.resume()
    for epoch, rows in training.batches_left():
        if spent(training) >= cpu_seconds:
            break
        training.step(epoch, rows)
        if training.evaluation_is_due() or spent(training) >= cpu_seconds:
            training.evaluate(epoch)
            training.save()
        elif training.checkpoint_is_due():
            training.save()
    training.model.load_state_dict(training.best_weights)
    if training.idle >= training.params.patience:
        return "patience"
    return "epochs" if training.steps.done >= training.last_step else "cap"


def spent(training: Training) -> float:
    """Processor seconds of all its steps so far, those before a stop included."""
    return sum(entry["cpu_seconds"] for entry in training.history) + training.cpu_seconds


def measures(clicks: Any, pctr: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
    """AUC, AUC within users and logloss of a prediction."""
    label = clicks.label if label is None else label
    return {
        "auc": auc(label, pctr),
        "gauc": grouped_auc(label, pctr, clicks.user).auc,
        "logloss": logloss(label, pctr),
    }


def circumstances(threads: int) -> dict[str, Any]:
    """Commit, machine, threads and versions of whatever runs now."""
    import torch

    return {
        **commit(),
        "machine": f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores",
        "threads": threads,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__.split("+")[0],
            "numpy": np.__version__,
        },
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def commit() -> dict[str, Any]:
    """The commit, and whether what decides results differs from it; null outside a repository."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        dirty = bool(_git("status", "--porcelain", "--untracked-files=no", "--", *DECIDING))
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
    return {"commit": head, "dirty": dirty}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def write_json(content: Any, path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def _end_with(parent: int) -> None:
    """Stop this process when the one that started it is gone, or two would train the same run."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    job = json.load(sys.stdin)
    _end_with(job["parent"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    tables = data.load(Path(job["root"]), job["embedding_file"], job["run"]["kind"])
    train(Run(**job["run"]), job["key"], tables, Path(job["out"]), job["threads"])


if __name__ == "__main__":
    main()
