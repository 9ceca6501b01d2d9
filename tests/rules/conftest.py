"""Finished tasks on a world of 80 items, honest ones, for the tests to spoil."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mmctr_kedro.common.params import (
    CtrParams,
    FixedCtrParams,
    InteractionLogParams,
    ProcessingParams,
    SourceParams,
    WorldParams,
)
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.pipelines.ctr.nodes import predict, train_fixed_model, train_model
from mmctr_kedro.pipelines.data_processing.nodes import prepare_raw_files, process_raw_files
from mmctr_kedro.submission.rules.artifacts import Artifacts

WORLD = WorldParams(items=80, train_rows=400, valid_rows=200, test_rows=200, covers=False, themes=6, styles=4)
SETTINGS = {
    "task1": FixedCtrParams(batch_size=128, learning_rate=3e-3, threads=1),
    "task2": CtrParams(model={"name": "evidence", "compare": False}, batch_size=128, epochs=2, threads=1),
    "task1_and_2": CtrParams(model={"name": "evidence", "compare": False}, batch_size=128, epochs=2, threads=1),
}


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> dict[str, Artifacts]:
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
        made[task] = Artifacts(model, history, predictions, train, valid, test, tags, embedding, folder)
    return made


@pytest.fixture(scope="session")
def another(finished) -> pd.DataFrame:
    """Predictions of Task 2 by a second training with another seed."""
    of = finished["task2"]
    model, _ = train_model(
        SETTINGS["task2"].model_copy(update={"seed": 1}), of.train, of.valid, of.item_tags, of.embedding
    )
    return predict(model, of.valid, of.test, of.item_tags, of.embedding)


@pytest.fixture
def spoil(finished):
    """An honest task with some of its artifacts replaced."""
    return lambda task, **changes: replace(finished[task], **changes)
