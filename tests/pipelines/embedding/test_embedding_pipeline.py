"""The embedding pipeline as Kedro runs it, with the packaged encoders, and what it writes."""

import io

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset
from PIL import Image

from mmctr_kedro.data import challenge
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.arrays import NpyDataset
from mmctr_kedro.datasets.sealed import ArrowTableDataset
from mmctr_kedro.encoders.store import VectorStore
from mmctr_kedro.fusion.settings import VARIANTS, EmbeddingParams
from mmctr_kedro.pipelines.embedding import create_pipeline, create_variants_pipeline


class Posters:
    """Six items; the last has no cover."""

    item_ids, anywhere, path, ignored = np.arange(1, 6), True, None, 0

    def __len__(self):
        return len(self.item_ids)

    def read(self, item_ids):
        for item in item_ids.tolist():
            yield item, poster(item) if item < 6 else None


def poster(item: int) -> bytes:
    pixels = np.random.default_rng(item).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((90, 120)).save(buffer, "JPEG")
    return buffer.getvalue()


def clicks() -> Clicks:
    """One user, three clicks, and one row."""
    arrays = {"history_user": [1], "history_offsets": [0, 3], "history_items": [1, 2, 3], "history": [0], "item": [4]}
    rows = {"likes_level": [1], "views_level": [1], "row_id": [0], "label": [1]}
    return Clicks(**{name: np.array(values, dtype=np.int32) for name, values in (arrays | rows).items()})


def run(folder) -> None:
    titles = ["Heat", "Up", "Heat 2", "🎬 мир", "", "Alien"]
    content = pd.DataFrame(
        {
            "item_id": np.arange(1, 7, dtype=np.int32),
            "title": titles,
            "tag_words": [["Action"], [], [], [], [], []],
            "likes_level": [1, 2, 3, 4, 5, 6],
            "views_level": [1, 1, 1, 1, 1, 1],
        }
    )
    catalog = DataCatalog(
        {
            "params:embedding": MemoryDataset(EmbeddingParams()),
            "item_content": MemoryDataset(content),
            "covers": MemoryDataset(Posters(), copy_mode="assign"),
            "challenge_folder": MemoryDataset(challenge.RawFolder(folder), copy_mode="assign"),
            "params:vector_store": MemoryDataset(VectorStore(folder / "encoded"), copy_mode="assign"),
            "provided_item_embedding": MemoryDataset(np.zeros((7, 128), dtype=np.float32)),
            "clicks_train": MemoryDataset(clicks()),
            "clicks_valid": MemoryDataset(clicks()),
            "item_tags": MemoryDataset(np.zeros((7, 5), dtype=np.int32)),
            "item_embedding": NpyDataset(filepath=str(folder / "item_embedding.npy")),
            "embedding.item_info": ArrowTableDataset(filepath=str(folder / "item_info.parquet")),
        }
    )
    catalog["embedding.scorecard"] = JSONDataset(filepath=str(folder / "scorecard.json"))
    catalog["embedding.cover_report"] = JSONDataset(filepath=str(folder / "cover_report.json"))
    outputs = SequentialRunner().run(create_pipeline(), catalog)
    assert catalog["embedding.cover_report"].load()["missing"]["item_ids"] == [6]
    assert "no cover" in outputs["embedding.report"].load()
    scorecard = catalog["embedding.scorecard"].load()
    assert scorecard["next_item"]["all"]["queries"] == 1
    assert (scorecard["items"], scorecard["items_without_words"], scorecard["items_without_cover"]) == (6, 1, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    run(folder)
    return folder


def test_only_contracts_cross_the_namespace():
    pipeline = create_pipeline()
    contracts = {"item_content", "item_tags", "provided_item_embedding", "clicks_train", "clicks_valid"}
    assert pipeline.inputs() == {"params:embedding", "challenge_folder", "params:vector_store", "covers", *contracts}
    assert {name for name in pipeline.all_outputs() if "." not in name} == {"item_embedding"}


def test_the_embedding_is_finite_with_a_row_of_zeros_first(folder):
    embedding = np.load(folder / "item_embedding.npy")
    assert embedding.shape == (7, 128)
    assert embedding.dtype == np.float32
    assert not embedding[0].any()
    assert np.isfinite(embedding).all()
    assert embedding[1:].std() == pytest.approx(1, abs=1e-4)


def test_like_titles_lie_closer_than_unlike_ones(folder):
    heat, up, heat_2 = np.load(folder / "item_embedding.npy")[1:4]
    assert np.linalg.norm(heat - heat_2) < np.linalg.norm(heat - up)


def test_the_file_has_the_organisers_schema_and_the_same_numbers(folder):
    table = pa.parquet.read_table(folder / "item_info.parquet")
    assert table.schema.equals(challenge.SCHEMAS["item_info"])
    vectors = np.stack(table["item_emb_d128"].to_numpy())
    np.testing.assert_array_equal(vectors, np.load(folder / "item_embedding.npy"))


def test_a_second_run_writes_the_same_bytes(folder, tmp_path):
    run(tmp_path)
    for name in ("item_embedding.npy", "item_info.parquet"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_every_variant_is_a_namespace_beside_the_others_and_shares_what_was_encoded():
    pipeline = create_variants_pipeline()
    spaces = {node.namespace for node in pipeline.nodes}
    assert spaces == {"embedding", *(f"embedding.{variant}" for variant in VARIANTS)}
    assert [node.name for node in pipeline.nodes if "encode" in node.name] == [
        "embedding.encode_covers",
        "embedding.encode_titles",
    ]
    assert pipeline.inputs() == create_pipeline().inputs()
    names = ("item_embedding", "scorecard", "item_info", "report", "map")
    made = {f"embedding.{variant}.{name}" for variant in VARIANTS for name in names}
    assert made <= pipeline.all_outputs()
    assert "item_embedding" not in pipeline.all_outputs()  # the chosen one is another pipeline's
