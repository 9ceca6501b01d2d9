"""Finished tasks on a world of 80 items, honest ones, for the tests to spoil."""

import shutil
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.settings import InteractionLogParams, ProcessingParams, SourceParams
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.pipelines.ctr.nodes import predict, train_fixed_model, train_model
from mmctr_kedro.pipelines.data_processing.nodes import prepare_raw_files, process_raw_files
from mmctr_kedro.running.project import Project
from mmctr_kedro.submission.rules import Finished, judge
from mmctr_kedro.worlds.settings import WorldParams

ROOT = Path(__file__).parents[3]
WORLD = WorldParams(items=80, train_rows=400, valid_rows=200, test_rows=200, covers=False, themes=6, styles=4)
SETTINGS = {
    "task1": FixedCtrParams(batch_size=128, learning_rate=3e-3, threads=1),
    "task2": CtrParams(model={"name": "evidence", "compare": False}, batch_size=128, epochs=2, threads=1),
    "task1_and_2": CtrParams(model={"name": "evidence", "compare": False}, batch_size=128, epochs=2, threads=1),
}


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """A clean commit."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "code.py").write_text("1\n")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "local"))
    (folder / "requirements.lock").write_text("numpy==0.1\nnobody-has-this==1\n# torch==9\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        git(folder, *arguments)
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, repository) -> dict[str, Finished]:
    """Each task, trained honestly; Task 1's embedding is random vectors, which is as good here."""
    folder = RawFolder(tmp_path_factory.mktemp("rules") / "challenge")
    raw_files, _ = prepare_raw_files(SourceParams(), WORLD, InteractionLogParams(), folder, folder)
    _, tags, provided, train, valid, test, _ = process_raw_files(ProcessingParams(), raw_files, folder)
    drawn = np.random.default_rng(3).standard_normal(provided.shape).astype(np.float32)
    drawn[0] = 0
    made = {}
    for task, settings in SETTINGS.items():
        embedding, fit = (provided, train_model) if task == "task2" else (drawn, train_model)
        fit = train_fixed_model if task == "task1" else fit
        model, history = fit(settings, train, valid, tags, embedding)
        predictions = predict(model, valid, test, tags, embedding)
        given = task, ProcessingParams(), EmbeddingParams(), Project(repository)
        made[task] = Finished(*given, model, history, predictions, train, valid, test, tags, embedding, folder)
    return made


@pytest.fixture(scope="session")
def another(finished) -> pd.DataFrame:
    """Predictions of Task 2 by a second training with another seed."""
    of = finished["task2"]
    model, _ = train_model(
        SETTINGS["task2"].model_copy(update={"seed": 1}), of.train, of.valid, of.item_tags, of.item_embedding
    )
    return predict(model, of.valid, of.test, of.item_tags, of.item_embedding)


@pytest.fixture
def spoil(finished):
    """An honest task with some of its artifacts replaced."""
    return lambda task, **changes: replace(finished[task], **changes)


@pytest.fixture
def broken():
    """Evidence by rule, of those that a finished task breaks."""

    def found(task: str, of: Finished) -> dict[str, str]:
        each = [getattr(of, field.name) for field in fields(of)][1:]
        return {verdict["rule"]: verdict["evidence"] for verdict in judge(*each, task=task) if not verdict["held"]}

    return found
