"""What an item's vector is made from: content, and clicks of train users; nothing of valid or test, unless asked."""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.arrays import NpyDataset
from mmctr_kedro.fusion import VARIANTS
from mmctr_kedro.fusion.histories import with_published
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.pipelines.embedding import create_pipeline, create_variants_pipeline
from mmctr_kedro.pipelines.embedding.nodes import fuse

ITEMS = 40
TOWER = {"epochs": 2, "hidden": 8, "batch_size": 32, "threads": 1, "device": "cpu"}
SETTINGS = {
    "width": 4,
    "behaviour_contrastive": TOWER,
    "sequence": {**TOWER, "state": 4},
    "semantic_ids": {"levels": 2, "codes": 4},
}


def clicks_of(seed: int, users: range) -> Clicks:
    """Six clicks and four rows a user."""
    rng = np.random.default_rng(seed)
    count = len(users)
    return Clicks(
        history_user=np.array(users, np.int32),
        history_offsets=np.arange(0, 6 * count + 1, 6),
        history_items=rng.integers(1, ITEMS + 1, 6 * count).astype(np.int32),
        history=np.repeat(np.arange(count, dtype=np.int32), 4),
        item=rng.integers(1, ITEMS + 1, 4 * count).astype(np.int32),
        likes_level=np.ones(4 * count, np.int8),
        views_level=np.ones(4 * count, np.int8),
        row_id=np.arange(4 * count),
        label=np.tile(np.array([1, 0, 0, 0], np.int8), count),
    )


def vectors(seed: int, width: int) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((ITEMS + 1, width)).astype(np.float32)
    found[0] = 0
    return found


def embedding(variant: str, valid: Clicks, folder: RawFolder, **settings) -> bytes:
    """The pipeline from encoded vectors on, as Kedro runs it."""
    pipeline = create_pipeline().only_nodes("embedding.fuse", "embedding.judge")
    width = 128 if variant == "provided" else 4
    params = EmbeddingParams(**{**SETTINGS, "variant": variant, "width": width, **settings})
    given = {
        "params:embedding": params,
        "embedding.text_vectors": vectors(1, 6),
        "embedding.image_vectors": vectors(2, 7),
        "provided_item_embedding": vectors(3, 128),
        "clicks_train": clicks_of(4, range(1, 101)),
        "clicks_valid": valid,
        "challenge_folder": folder,
        "item_tags": np.ones((ITEMS + 1, 5), np.int32),
        "item_content": pd.DataFrame({"likes_level": np.arange(ITEMS) % 10 + 1, "views_level": 3}),
        "embedding.title_report": {"without_words": {"count": 0}},
        "embedding.cover_report": {"encoded": ITEMS},
    }
    catalog = DataCatalog({name: MemoryDataset(value, copy_mode="assign") for name, value in given.items()})
    catalog["item_embedding"] = NpyDataset(filepath=str(folder.path / "item_embedding.npy"))
    SequentialRunner().run(pipeline, catalog)
    return catalog["item_embedding"].load().tobytes()


@pytest.fixture
def folder(tmp_path) -> RawFolder:
    """item_seq has users of train and others, padded on the left as the older release has it."""
    folder = RawFolder(tmp_path)
    lists = [[0, 0, 1, 2], [0, 5, 6, 7], [0, 0, 0, 0], [8, 9, 10, 11]]
    pq.write_table(pa.table({"user_id": [1, 500, 501, 500], "item_seq": lists}), folder.file("item_seq"))
    return folder


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_label_and_no_history_of_valid_changes_a_vector(variant, folder):
    valid = clicks_of(5, range(900, 930))
    other_labels = dataclasses.replace(valid, label=1 - valid.label)
    other_histories = clicks_of(6, range(900, 930))
    first = embedding(variant, valid, folder)
    assert embedding(variant, other_labels, folder) == first
    assert embedding(variant, other_histories, folder) == first


@pytest.mark.parametrize("variant", ["behaviour_contrastive", "sequence"])
def test_published_histories_change_a_vector_only_where_that_is_asked(variant, folder):
    valid = clicks_of(5, range(900, 930))
    alone, published = (embedding(variant, valid, folder, histories=name) for name in ("train", "published"))
    assert alone != published
    lists = [[0, 0, 1, 2], [0, 5, 6, 9], [0, 0, 0, 0], [8, 9, 10, 12]]
    pq.write_table(pa.table({"user_id": [1, 500, 501, 500], "item_seq": lists}), folder.file("item_seq"))
    assert embedding(variant, valid, folder) == alone
    assert embedding(variant, valid, folder, histories="published") != published


def test_test_rows_are_no_input_of_any_embedding():
    for pipeline in (create_pipeline(), create_variants_pipeline()):
        assert not [name for name in pipeline.inputs() if "test" in name]
        readers = {node.short_name for node in pipeline.nodes if "clicks_valid" in node.inputs}
        assert readers == {"judge"}


def test_published_histories_come_without_padding_beside_those_of_train(folder):
    train = clicks_of(4, range(1, 4))
    wide = with_published(train, folder)
    assert wide.history_user.tolist() == [1, 2, 3, 1, 500, 501, 500]
    added = [
        wide.history_items[a:b].tolist()
        for a, b in zip(wide.history_offsets[3:], wide.history_offsets[4:], strict=False)
    ]
    assert added == [[1, 2], [5, 6, 7], [], [8, 9, 10, 11]]
    assert wide.history is train.history
    np.testing.assert_array_equal(wide.history_items[: len(train.history_items)], train.history_items)


def test_published_histories_that_are_not_there_are_an_error_with_the_way_out(tmp_path):
    given = (vectors(1, 6), vectors(2, 7), vectors(3, 128), clicks_of(4, range(1, 9)), RawFolder(tmp_path))
    with pytest.raises(MmctrError, match=r"item_seq\.parquet is not in .*histories=train"):
        fuse(EmbeddingParams(histories="published"), *given)
