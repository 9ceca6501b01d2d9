"""The pipeline score: any rows, part by part, equal to the batch predictions of the same rows."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.sealed import PartsDataset
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.pipelines.score import create_pipeline
from mmctr_kedro.scoring.settings import ScoreParams
from mmctr_kedro.training.loop import PREDICTION_BATCH
from mmctr_kedro.training.trained_model import leave_out_the_leak, predict, train

ITEMS, ROWS = 20, PREDICTION_BATCH + 500
rng = np.random.default_rng(3)
TAGS = np.pad(rng.integers(0, 5, (ITEMS, 5), dtype=np.int32), [(1, 0), (0, 0)])
EMBEDDING = np.pad(rng.standard_normal((ITEMS, 8)).astype(np.float32), [(1, 0), (0, 0)])
LEVELS = rng.integers(1, 11, (ITEMS, 2))
CONTENT = pd.DataFrame({"likes_level": LEVELS[:, 0], "views_level": LEVELS[:, 1]})
HISTORIES = [rng.integers(1, ITEMS + 1, rng.integers(0, 5)).tolist() for _ in range(ROWS)]
ITEM = rng.integers(1, ITEMS + 1, ROWS)
CLICKS = Clicks(
    history_user=np.arange(ROWS),
    history_offsets=np.cumsum([0, *map(len, HISTORIES)]),
    history_items=np.concatenate(HISTORIES).astype(np.int32),
    history=np.arange(ROWS),
    item=ITEM,
    likes_level=LEVELS[ITEM - 1, 0],
    views_level=LEVELS[ITEM - 1, 1],
    row_id=np.arange(ROWS),
    label=(rng.random(ROWS) < 0.3).astype(np.int8),
)


@pytest.fixture(scope="module")
def model():
    params = CtrParams(model={"name": "evidence", "compare": False}, epochs=1, batch_size=512, threads=1, device="cpu")
    made, _ = train(CLICKS, CLICKS, TAGS, EMBEDDING, params)
    return leave_out_the_leak(made, CONTENT, CLICKS, CLICKS, TAGS, EMBEDDING)[0]


@pytest.fixture
def scored(model, tmp_path, monkeypatch):
    monkeypatch.setattr(PartsDataset, "ROWS", PREDICTION_BATCH)  # two parts

    def score(table: pa.Table) -> pa.Table:
        pq.write_table(table, tmp_path / "rows.parquet")
        given = {
            "params:score": ScoreParams(input="rows.parquet"),
            "task1.leak_free_model": model,
            "item_tags": TAGS,
            "item_embedding": EMBEDDING,
            "item_content": CONTENT,
            "clicks_train": CLICKS,
        }
        catalog = DataCatalog({name: MemoryDataset(value, copy_mode="assign") for name, value in given.items()})
        catalog["to_score"] = PartsDataset(filepath=str(tmp_path / "rows.parquet"))
        catalog["task1.scored"] = PartsDataset(filepath=str(tmp_path / "scored.parquet"))
        SequentialRunner().run(create_pipeline("task1"), catalog)
        return pq.read_table(tmp_path / "scored.parquet")

    return score


def rows(histories=HISTORIES, item=ITEM) -> pa.Table:
    return pa.table(
        {"ID": np.arange(len(item)), "item_seq": pa.array(histories, pa.list_(pa.int32())), "item_id": item}
    )


def test_scores_of_parts_are_bit_for_bit_the_predictions_of_the_whole(scored, model):
    found = scored(rows())
    assert found.column_names == ["ID", "item_id", "pctr"]
    assert found["ID"].to_pylist() == list(range(ROWS))
    assert np.array_equal(found["pctr"].to_numpy(), predict(model, CLICKS, TAGS, EMBEDDING))


def test_a_file_without_rows_gives_one_without_rows(scored):
    found = scored(rows([], np.empty(0, np.int64)))
    assert found.column_names == ["ID", "item_id", "pctr"]
    assert len(found) == 0


def test_an_unknown_item_is_named_by_file_and_row_and_nothing_is_left(scored, tmp_path):
    item = ITEM.copy()
    item[PREDICTION_BATCH + 7] = 99
    with pytest.raises(
        (MmctrError, DatasetError), match=rf"rows.parquet: item_id, row {PREDICTION_BATCH + 7}: 99 is no"
    ):
        scored(rows(item=item))
    assert not (tmp_path / "scored.parquet").exists()
