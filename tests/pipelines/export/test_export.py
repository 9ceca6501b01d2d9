"""The node export: files beside a card that says what they are."""

import json

import numpy as np
import pandas as pd
import pytest

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.sealed import FilesDataset
from mmctr_kedro.export.settings import ExportParams
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.pipelines.export.nodes import export
from mmctr_kedro.training.trained_model import leave_out_the_leak, train

ITEMS, ROWS = 20, 300
rng = np.random.default_rng(3)
TAGS = np.pad(rng.integers(0, 5, (ITEMS, 5), dtype=np.int32), [(1, 0), (0, 0)])
EMBEDDING = np.pad(rng.standard_normal((ITEMS, 8)).astype(np.float32), [(1, 0), (0, 0)])
LEVELS = rng.integers(1, 11, (ITEMS, 2))
CONTENT = pd.DataFrame({"likes_level": LEVELS[:, 0], "views_level": LEVELS[:, 1]})
ITEM = rng.integers(1, ITEMS + 1, ROWS)
CLICKS = Clicks(
    history_user=np.arange(ROWS),
    history_offsets=np.arange(ROWS + 1),
    history_items=rng.integers(1, ITEMS + 1, ROWS),
    history=np.arange(ROWS),
    item=ITEM,
    likes_level=LEVELS[ITEM - 1, 0],
    views_level=LEVELS[ITEM - 1, 1],
    row_id=np.arange(ROWS),
    label=(rng.random(ROWS) < 0.3).astype(np.int8),
)
SPLIT = {"rows": ROWS, "users": ROWS, "click_share": 0.3}
REPORT = {
    "items": {"items": ITEMS},
    "train": SPLIT,
    "valid": SPLIT,
    "raw_files": {"source": "simulated", "world_version": "4"},
}
METRICS = {"auc": 0.98, "auc_interval": [0.978, 0.982]}
WITHOUT = {"auc": 0.6027, "auc_interval": [0.585, 0.62], "how": "what reads the levels is switched off"}


@pytest.fixture(scope="module")
def model():
    params = CtrParams(model={"name": "evidence", "compare": False}, epochs=1, batch_size=64, threads=1, device="cpu")
    made, _ = train(CLICKS, CLICKS, TAGS, EMBEDDING, params)
    return leave_out_the_leak(made, CONTENT, CLICKS, CLICKS, TAGS, EMBEDDING)[0]


def exported(model, metrics: dict) -> dict[str, bytes]:
    params = ExportParams(variants=())
    return export(params, model, metrics, TAGS, EMBEDDING, CONTENT, CLICKS, CLICKS, REPORT, "task2")


def test_the_card_tells_the_auc_without_the_leak_the_files_and_the_licence(model):
    files = exported(model, METRICS | {"without_leak": WITHOUT})
    card = files["MODEL_CARD.md"].decode()
    assert list(files) == ["model.onnx", "model.pt2", "MODEL_CARD.md"]
    assert "**AUC 0.6027** (95% interval 0.5850 to 0.6200, by bootstrap over users) on" in card
    assert "reached 0.9800 there" in card
    assert "| model.onnx |" in card
    assert "| model.levels | False |" in card
    assert "source: simulated, world version 4" in card
    assert "it says nothing of real users" in card
    assert "Apache-2.0" in card


def test_where_nothing_leaks_the_card_has_one_auc(model):
    card = exported(model, METRICS | {"without_leak": None})["MODEL_CARD.md"].decode()
    assert "**AUC 0.9800**" in card
    assert "give their label away" not in card


def test_files_come_back_from_their_folder(tmp_path):
    files = {"a.json": json.dumps([1]).encode(), "b": b""}
    dataset = FilesDataset(filepath=str(tmp_path / "folder"))
    dataset.save(files)
    assert dataset.load() == files
