"""A lint of conf/: nothing unused, nothing unpersisted, every choice reaching path and parameter alike."""

from inspect import signature
from pathlib import Path

import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.io import DataCatalog
from kedro.validation.type_extractor import TypeExtractor

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.pipelines.settings import SETTINGS, check_settings
from mmctr_kedro.running.configuration import ConfigLoader
from mmctr_kedro.running.project import Project
from mmctr_kedro.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[1] / "conf"
ENVIRONMENTS = sorted(
    path.name for path in CONF.iterdir() if (path / "globals.yml").exists() and path.name not in {"base", "local"}
)


@pytest.fixture(scope="module", autouse=True)
def _project():
    configure_project("mmctr_kedro")


def loader(env: str = "smoke", **given) -> ConfigLoader:
    return ConfigLoader(str(CONF), env=env, runtime_params=given, **CONFIG_LOADER_ARGS)


def used(kind: str) -> set[str]:
    names = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    names.discard("parameters")  # the whole tree, which no block or entry stands for
    return {name for name in names if (name.startswith("params:") and not is_store(name)) == (kind == "parameters")}


def is_store(name: str) -> bool:
    """Whether the catalog has an entry for what is drawn among the parameters."""
    return name == "params:project" or name.endswith(("vector_store", "checkpoint", "study"))


def matched() -> dict[str, str | None]:
    """The catalog pattern or explicit entry that each used dataset comes from; Kedro's catch-all counts as none."""
    catalog = DataCatalog.from_config(loader()["catalog"])
    explicit = set(loader()["catalog"])
    found = {
        name: name if name in explicit else catalog.config_resolver.match_dataset_pattern(name)
        for name in used("datasets")
    }
    return {name: None if pattern == "{default}" else pattern for name, pattern in found.items()}


def test_every_dataset_of_every_pipeline_is_persisted():
    assert not [name for name, pattern in matched().items() if pattern is None]


def test_every_file_is_written_by_a_dataset_of_ours_whole_and_sealed():
    written = {name for pipeline in pipelines.values() for name in pipeline.all_outputs()}
    catalog = DataCatalog.from_config(loader()["catalog"])
    kinds = {name: type(catalog.get(name)).__module__ for name in written}
    assert [name for name, module in kinds.items() if not module.startswith("mmctr_kedro.datasets.")] == []


def test_every_catalog_entry_is_used():
    entries = {name for name in loader()["catalog"] if not name.startswith("_")}
    assert entries == set(matched().values())


def test_every_catalog_entry_has_a_layer():
    for name, entry in loader()["catalog"].items():
        if not name.startswith("_") and not is_store(name):
            assert entry["metadata"]["kedro-viz"]["layer"], name


def test_the_viewer_knows_how_to_show_every_dataset_and_shows_nothing_where_nothing_is(tmp_path):
    nowhere = str(tmp_path / "nothing")
    catalog = DataCatalog.from_config(loader(root=nowhere, log_folder=nowhere)["catalog"])
    shown = {name: catalog.get(name).preview for name in used("datasets") if not is_store(name)}
    kinds = {"TablePreview", "JSONPreview", "PlotlyPreview", "ImagePreview"}
    assert {name: kind for name, of in shown.items() if (kind := signature(of).return_annotation) not in kinds} == {}
    assert {name: found for name, of in shown.items() if (found := of()) is not None} == {}


def test_every_params_input_resolves_to_its_class():
    """Kedro silently hands over a raw dict where it cannot resolve the annotation."""
    found = TypeExtractor(dict(pipelines)).extract_types_from_pipelines()
    assert found.pop("project") is Project  # a store: Kedro finds no such parameter and leaves it alone
    assert set(found) == {name.removeprefix("params:") for name in used("parameters")}
    # No node's inputs: `ctr` is the default that task2 and task1_and_2 interpolate, `serve` is of a command.
    assert found == {name: settings for name, settings in SETTINGS.items() if name not in ("ctr", "serve")}


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_passes_the_check_of_settings(env):
    config = loader(env)
    check_settings(config["parameters"], config["globals"], {})


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_sets_only_known_blocks(env):
    parameters = loader(env)["parameters"]
    assert set(parameters) <= {name.split(".")[0] for name in SETTINGS}


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_passes_its_ctr_block_on_to_task2_and_task1_and_2(env):
    parameters = loader(env)["parameters"]
    assert parameters["task2"]["ctr"] == parameters["ctr"]
    assert parameters["task1_and_2"]["ctr"] == parameters["ctr"]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_writes_below_its_own_root(env):
    root = loader(env)["globals"]["root"]
    others = [loader(other)["globals"]["root"] for other in ENVIRONMENTS if other != env]
    assert root not in others
    assert root != "data"


def test_a_ctr_setting_on_the_command_line_reaches_task2_and_task1_and_2_and_leaves_task1_alone():
    before, after = loader()["parameters"], loader(ctr={"learning_rate": 0.5})["parameters"]
    assert after["task2"]["ctr"]["learning_rate"] == after["task1_and_2"]["ctr"]["learning_rate"] == 0.5
    assert after["task1"] == before["task1"]


def test_a_model_on_the_command_line_is_that_of_task2_and_task1_and_2_and_leaves_task1_alone():
    before, after = loader()["parameters"], loader(ctr={"model": {"name": "qin"}})["parameters"]
    assert after["task2"]["ctr"]["model"]["name"] == after["task1_and_2"]["ctr"]["model"]["name"] == "qin"
    assert after["task1"] == before["task1"]


def test_task1_takes_no_model():
    given = {"task1": {"ctr": {"model": {"name": "qin"}}}}
    config = loader(**given)
    with pytest.raises(MmctrError, match=r"Task 1 is judged by the fixed DIN: only .* may be tuned.*'name': 'qin'"):
        check_settings(config["parameters"], config["globals"], given)


def test_one_tasks_setting_on_the_command_line_changes_that_task_only():
    before, after = loader()["parameters"], loader(task2={"ctr": {"learning_rate": 0.5}})["parameters"]
    assert after["task2"]["ctr"] == before["task2"]["ctr"] | {"learning_rate": 0.5}
    assert after["task1_and_2"] == before["task1_and_2"]


def paths(config: ConfigLoader) -> dict[str, str]:
    return {name: entry["filepath"] for name, entry in config["catalog"].items() if "filepath" in entry}


def with_global(tmp_path: Path, line: str) -> ConfigLoader:
    """The configuration with one line of globals.yml set otherwise, in an environment of its own."""
    (tmp_path / "base").symlink_to(CONF / "base")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "globals.yml").write_text(line)
    return ConfigLoader(str(tmp_path), env="mine", **CONFIG_LOADER_ARGS)


def test_the_data_root_moves_every_path_that_a_run_writes(tmp_path):
    chosen = [paths(loader(root="elsewhere")), paths(with_global(tmp_path, "root: elsewhere"))]
    for found in chosen:
        assert {name for name, path in found.items() if path.split("/")[0] != "elsewhere"} == {
            "log_folder",
            "params:project",
        }


@pytest.mark.parametrize("choice", ["log_folder", "challenge_folder"])
def test_an_input_folder_is_one_line(tmp_path, choice):
    assert paths(loader(**{choice: "elsewhere"}))[choice] == "elsewhere"
    assert paths(with_global(tmp_path, f"{choice}: elsewhere"))[choice] == "elsewhere"


def test_covers_are_looked_for_where_the_challenge_files_are():
    found = paths(loader(challenge_folder="elsewhere"))
    assert found["covers"] == "elsewhere"


def test_the_embedding_variant_reaches_path_and_parameter(tmp_path):
    for config in (
        loader(embedding={"variant": "other"}),
        with_global(tmp_path, "embedding: {variant: other}"),
    ):
        assert "/other/" in paths(config)["item_embedding"]
        assert config["parameters"]["embedding"]["variant"] == "other"
