"""The pipeline end to end, through its real catalog entries."""

from pathlib import Path

import pytest
from kedro.io import DataCatalog
from kedro.runner import SequentialRunner

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.settings import InteractionLogParams, ProcessingParams, SourceParams
from mmctr_kedro.pipelines.data_processing import create_pipeline
from mmctr_kedro.running.configuration import ConfigLoader
from mmctr_kedro.settings import CONFIG_LOADER_ARGS
from mmctr_kedro.worlds.settings import WorldParams

CONF = Path(__file__).parents[3] / "conf"
CONTRACTS = (
    "item_content",
    "item_tags",
    "provided_item_embedding",
    "clicks_train",
    "clicks_valid",
    "clicks_test",
)


@pytest.fixture
def catalog(tmp_path, challenge_folder) -> DataCatalog:
    entries = ConfigLoader(str(CONF), runtime_params={"root": str(tmp_path / "root")}, **CONFIG_LOADER_ARGS)["catalog"]
    catalog = DataCatalog.from_config({name: entries[name] for name in entries if name in _needed()})
    catalog["challenge_folder"] = challenge_folder
    catalog["log_folder"] = RawFolder(tmp_path / "log")
    catalog["params:source"] = SourceParams(name="challenge_files")
    catalog["params:simulate"] = WorldParams()
    catalog["params:import_log"] = InteractionLogParams()
    catalog["params:processing"] = ProcessingParams()
    return catalog


def _needed() -> set[str]:
    return {"clicks_{split}", *create_pipeline().outputs(), "raw_files"}


def test_every_contract_is_written_and_read_back(catalog):
    SequentialRunner().run(create_pipeline(), catalog)
    assert catalog.load("clicks_train").item.tolist() == [3, 1, 1, 3]
    assert catalog.load("item_content")["title"].tolist() == ["red fox", "", "blue whale"]
    assert [tags.tolist() for tags in catalog.load("item_content")["tags"]] == [[7, 3], [], [3]]
    assert catalog.load("item_tags").shape == (4, 5)
    assert catalog.load("provided_item_embedding")[3, 0] == 0.75
    assert catalog.load("raw_files")["files"]["train"]["rows"] == 4
    assert catalog.load("data_report")["train"]["rows"] == 4
    assert len(catalog.load("truth")) == 0


def test_a_second_run_leaves_equal_bytes(catalog, tmp_path):
    def content() -> dict[str, bytes]:
        files = (path for path in (tmp_path / "root").rglob("*") if path.is_file())
        return {str(path.relative_to(tmp_path)): path.read_bytes() for path in files}

    SequentialRunner().run(create_pipeline(), catalog)
    first = content()
    SequentialRunner().run(create_pipeline(), catalog)
    assert content() == first
    assert len(first) > 20


def test_nodes_share_one_namespace_and_contracts_have_none():
    pipeline = create_pipeline()
    assert {node.namespace for node in pipeline.nodes} == {"data_processing"}
    assert set(CONTRACTS) <= pipeline.outputs()
