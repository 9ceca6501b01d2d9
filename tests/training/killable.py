"""Train models one after another, leaving checkpoints: ``python killable.py <folder> <model>...``.

A program of its own, so that ``test_kill_and_resume`` can kill it. A model whose training is over leaves
``<model>.json`` with its history and the digest of its weights, and is not trained again. With KILL_WHILE_SAVING=n
in the environment it kills itself in the middle of writing the nth checkpoint; with KILL_AFTER=seconds so long after
the start of step KILLED_STEP of the first model it trains, whatever it does then.
"""

import hashlib
import io
import json
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

import torch
from conftest import draw_clicks, draw_embedding, draw_tags, small_model

from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.common.machine import reproducible
from mmctr_kedro.models import build_model
from mmctr_kedro.models.settings import MODEL_PARAMS, CtrParams
from mmctr_kedro.training.checkpoints import Checkpoints
from mmctr_kedro.training.loop import fit
from mmctr_kedro.training.steps import Steps

KILLED_STEP = 13  # of 48, after two evaluations and so at least two checkpoints
STEP_SECONDS = 0.02  # a step takes at least this long where it may be killed, so that no training ends before


def settings(name: str) -> CtrParams:
    """Four epochs of 12 steps, evaluated every 5; checkpoints then and every 50 ms; every second model is lazy."""
    lazy = list(MODEL_PARAMS).index(name) % 2 == 1
    return CtrParams(
        model=small_model(name),
        batch_size=16,
        epochs=4,
        patience=99,
        evaluate_every=5,
        embedding_update="lazy" if lazy else "dense",
        warmup_steps=3,
        rate_decay=0.8,
        threads=1,
        device="cpu",
        checkpoint_minutes=0.05 / 60,
    )


def train(folder: Path, name: str) -> None:
    params = settings(name)
    with reproducible(params) as device:
        model = build_model(params, draw_tags(), draw_embedding())
        train_rows, valid_rows = draw_clicks(192, seed=1), draw_clicks(40, seed=2)
        history = fit(model, train_rows, valid_rows, params, device, name, Checkpoints(folder / f"{name}.pt"))
    digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in model.state_dict().values()))
    times = {"seconds", "cpu_seconds", "rows_per_second"}
    untimed = [{key: entry[key] for key in entry if key not in times} for entry in history]
    with atomic_write(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps({"weights": digest.hexdigest(), "history": untimed}))


def die_in_the_middle_of_save(number: int) -> None:
    save, saves = torch.save, []

    def half_a_save(state, path):
        saves.append(path)
        if len(saves) < number:
            return save(state, path)
        whole = io.BytesIO()
        save(state, whole)
        path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
        return os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half_a_save


def die_some_time_after_a_step(seconds: float) -> None:
    take = Steps.take

    def slow_take(self, parts):
        if self.done + 1 == KILLED_STEP:
            threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
        time.sleep(STEP_SECONDS)
        return take(self, parts)

    Steps.take = slow_take


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    if number := os.environ.get("KILL_WHILE_SAVING"):
        die_in_the_middle_of_save(int(number))
    if seconds := os.environ.get("KILL_AFTER"):
        die_some_time_after_a_step(float(seconds))
    home = Path(sys.argv[1])
    for model_name in sys.argv[2:]:
        if not (home / f"{model_name}.json").exists():
            train(home, model_name)
