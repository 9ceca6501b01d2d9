"""The pipeline tune, and the environment that ``kedro adopt`` writes of what it found."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from omegaconf import OmegaConf

from mmctr_kedro.common.params import find
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.pipelines.settings import check_settings
from mmctr_kedro.pipelines.tune import create_pipeline
from mmctr_kedro.running.configuration import ConfigLoader
from mmctr_kedro.settings import CONFIG_LOADER_ARGS
from mmctr_kedro.training import trained_model
from mmctr_kedro.tuning.settings import TuneParams
from mmctr_kedro.tuning.study_file import StudyFile
from tests.tuning.conftest import DATA, PARAMS

PROJECT = Path(__file__).parents[3]
GIVEN = dict(zip(["clicks_train", "clicks_valid", "item_tags", "item_embedding"], DATA, strict=True))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """What the pipeline made of Task 1, in the places that the catalog has for it below this root."""
    root = tmp_path_factory.mktemp("root")
    given = {
        **GIVEN,
        "params:task1.ctr": PARAMS,
        "params:tune": TuneParams(trials=3, seeds=1),
        "params:task1.study": StudyFile(root / "11_tuning" / "study.db"),
    }
    catalog = DataCatalog({name: MemoryDataset(value, copy_mode="assign") for name, value in given.items()})
    catalog["task1.tuning"] = MemoryDataset()
    SequentialRunner().run(create_pipeline("task1"), catalog)
    place = root / "11_tuning" / "task1" / "tuning.json"
    place.parent.mkdir()
    place.write_text(json.dumps(catalog.load("task1.tuning")))
    return root


def adopt(conf: Path, *words: str):
    bootstrap_project(PROJECT)
    from mmctr_kedro.cli import cli

    return CliRunner().invoke(cli, ["adopt", *words, "--conf-source", str(conf)])


def loaded(conf: Path, env: str):
    config = ConfigLoader(str(conf), env=env, **CONFIG_LOADER_ARGS)
    check_settings(config["parameters"], config["globals"], {})
    return config


def test_a_search_makes_its_study_its_result_and_its_page_and_nothing_else(tuned):
    assert sorted(path.name for path in tuned.rglob("*") if path.is_file()) == ["study.db", "tuning.json"]
    bootstrap_project(PROJECT)
    made = {name.partition(".")[2] for name in pipelines["tune"].all_outputs()}
    assert made == {"tuning", "tuning_report"}


def test_the_environment_written_is_accepted_and_gives_the_trials_auc_bit_for_bit(tuned, tmp_path):
    conf = tmp_path / "conf"
    shutil.copytree(PROJECT / "conf", conf)
    done = adopt(conf, "mine", "--env", "microlens", "--params", f"root={tuned}")
    assert done.exit_code == 0, done.output
    config, before = loaded(conf, "mine"), loaded(conf, "microlens")
    assert config["globals"] == before["globals"]
    assert config["parameters"]["task2"] == before["parameters"]["task2"]
    params = FixedCtrParams.model_validate(config["parameters"]["task1"]["ctr"])
    found = json.loads((tuned / "11_tuning" / "task1" / "tuning.json").read_text())
    _, history = trained_model.train(*DATA, params)
    assert max(entry["valid_auc"] for entry in history) == found["found"]["auc"]


def test_settings_of_another_task_join_an_environment(tuned, tmp_path):
    conf = tmp_path / "conf"
    shutil.copytree(PROJECT / "conf", conf)
    (conf / "local" / "parameters.yml").write_text(yaml.safe_dump({"task2": {"ctr": {"epochs": 7}}}))
    shutil.copytree(tuned / "11_tuning" / "task1", tuned / "11_tuning" / "task2")
    place = tuned / "11_tuning" / "task2" / "tuning.json"
    settings = CtrParams.model_validate({"model": {"name": "qin"}}).model_dump(mode="json")
    place.write_text(json.dumps({"settings": settings, "found": {"auc": 0.5}}))
    for task in ("task1", "task2"):
        assert adopt(conf, "mine", "--task", task, "--params", f"root={tuned}").exit_code == 0
    config = loaded(conf, "mine")["parameters"]
    assert find(config, "task1.ctr.epochs") == PARAMS.epochs
    assert CtrParams.model_validate(config["task2"]["ctr"]).model_dump(mode="json") == settings
    assert "task2" in OmegaConf.load(conf / "mine" / "parameters.yml")


@pytest.mark.parametrize("name", ["base", "local", "a/b", ".."])
def test_an_environment_that_is_there_for_something_else_is_not_written_over(name, tuned, tmp_path):
    conf = tmp_path / "conf"
    shutil.copytree(PROJECT / "conf", conf)
    done = adopt(conf, name, "--params", f"root={tuned}")
    assert done.exit_code == 1
    assert "no name of a new environment" in done.output


def test_where_nothing_was_searched_it_says_what_searches(tmp_path):
    done = adopt(PROJECT / "conf", "mine", "--params", f"root={tmp_path}")
    assert done.exit_code == 1
    assert "kedro run --pipeline tune --namespaces task1" in done.output
    assert not (PROJECT / "conf" / "mine").exists()
