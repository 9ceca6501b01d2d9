"""A setting acts wherever Kedro's users set one: in base, in an environment, in conf/local, on the command line."""

import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from omegaconf import OmegaConf

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import Params, nested
from mmctr_kedro.models.settings import MODEL_PARAMS
from mmctr_kedro.pipelines.settings import SETTINGS, refuse_idle
from mmctr_kedro.running.configuration import pass_on

PROJECT = Path(__file__).parents[2]
# `ctr` is the default of two of them, `serve` is of a command that is no pipeline (tests/serving).
READ = [name for name in SETTINGS if name not in ("ctr", "serve")]
PLACES = ["base", "env", "local", "command line"]
HUB = {"model": "some/model", "revision": "0" * 40}
NO_DEFAULT = {"embedding_learning_rate": 0.01, "weight_decay": 0.01, "evaluate_every": 5}
TEXT_TABLE = {"separator": ";", "encoding": "cp1252", "quotes": True, "columns": ["a", "b"]}
# Where the default is none at all, or several settings must fit each other.
CHOSEN: dict[str, dict[str, Any]] = {
    "simulate": {"user_seed": 5},
    "import_log": {
        "log": {**TEXT_TABLE, "format": "rows", "rating": "stars", "label": None},
        "items": {**TEXT_TABLE, "no_tags": ["-"]},
        "covers": "pictures",
        "positive_rating": 3.5,
        "train_clicks_per_user": 7,
        "valid_users": 8,
        "test_users": 9,
    },
    "embedding": {
        "text": {"name": "sentence_transformer", "sentence_transformer": HUB, "threads": 3},
        "image": {"name": "vision_language", "vision_language": HUB, "threads": 3},
    },
    "finetune": {"target_modules": ["query"]},
    "check_submission": {"file": "a.zip", "test": "b.parquet"},
    "tune": {
        "storage": "postgresql://host/name",
        "space": {"batch_size": [64], "model": {"width": {"low": 1, "high": 9}}},
    },
    "ctr": {**NO_DEFAULT, "compile": False},  # compile and another embedding_update exclude each other
    "task2.ctr": {**NO_DEFAULT, "embedding_update": "dense"},
    "task1_and_2.ctr": {**NO_DEFAULT, "compile": False},
}


def another(block: Params) -> dict[str, Any]:
    """A valid block of which every value is another than the default."""
    values: dict[str, Any] = {}
    for name, field in type(block).model_fields.items():
        value = getattr(block, name)
        if isinstance(value, Params):
            values[name] = another(value)
            continue
        candidates = [*get_args(field.annotation)] if isinstance(value, str) else []
        if isinstance(value, bool):
            candidates = [not value]
        elif isinstance(value, int | float):
            candidates = [value * 2, value + 1, value / 2, value - 1, type(value)(0.9), 0.3]
        elif isinstance(value, str):
            candidates += ["another"]
        for candidate in candidates:
            try:
                type(block).model_validate(block.model_dump() | {name: candidate})
            except ValueError:
                continue
            if candidate != value:
                values[name] = candidate
                break
    return values


def blocks(model: type[Params]) -> dict[str, dict[str, Any]]:
    """Every block with all its settings changed, and this CTR model."""
    changed = {}
    for name, settings in SETTINGS.items():
        block = OmegaConf.to_container(OmegaConf.merge(another(settings()), CHOSEN.get(name, {})))
        if "model" in settings.model_fields:
            block["model"] = another(model()) | {"name": model().name}
        changed[name] = settings.model_validate(block).model_dump(mode="json")
    return changed


@pytest.fixture(scope="module")
def arriving(tmp_path_factory):
    """What nodes get of settings that were set in one place, by block."""
    bootstrap_project(PROJECT)

    def arrive(place: str, tree: dict[str, Any]) -> dict[str, Any]:
        conf = tmp_path_factory.mktemp("conf")
        shutil.copytree(PROJECT / "conf" / "base", conf / "base")
        for environment in ("mine", "local"):
            (conf / environment).mkdir()
        if place == "base":
            files = sorted((conf / "base").glob("parameters*.yml"))
            whole = OmegaConf.to_container(OmegaConf.merge(*map(OmegaConf.load, files), tree))
            for file in files:
                file.unlink()
            (conf / "base" / "parameters.yml").write_text(yaml.safe_dump(whole))
        elif place != "command line":
            (conf / {"env": "mine"}.get(place, place) / "parameters.yml").write_text(yaml.safe_dump(tree))
        given = tree if place == "command line" else None
        env = "mine" if place == "env" else None
        with KedroSession.create(PROJECT, env=env, conf_source=str(conf), runtime_params=given) as session:
            catalog = session.load_context().catalog
            found = {name: catalog.load(f"params:{name}").model_dump(mode="json") for name in READ}
            places = {
                name: str(catalog.get(name)._filepath) for name in ("item_embedding", "bundle_to_verify", "submitted")
            }
        return found | {"places": places}

    return arrive


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("model", MODEL_PARAMS)
def test_every_setting_reaches_the_node_from_wherever_it_is_set(model, place, arriving):
    wanted = blocks(MODEL_PARAMS[model])
    found = arriving(place, nested(wanted))
    for name in READ:
        assert found[name] == wanted[name], name
    # Paths of the catalog follow settings too.
    assert f"/{wanted['embedding']['variant']}/" in found["places"]["item_embedding"]
    assert found["places"]["bundle_to_verify"].endswith(f"/{wanted['verify']['bundle']}")
    assert found["places"]["submitted"].endswith("/a.zip")


@pytest.mark.parametrize("place", PLACES)
def test_ctr_is_the_default_of_two_tasks_wherever_it_is_set_and_what_a_task_says_itself_wins(place, arriving):
    tree = {"ctr": {"learning_rate": 0.5, "epochs": 2}, "task2": {"ctr": {"epochs": 3}}}
    found = arriving(place, tree)
    assert (found["task2.ctr"]["learning_rate"], found["task2.ctr"]["epochs"]) == (0.5, 3)
    assert (found["task1_and_2.ctr"]["learning_rate"], found["task1_and_2.ctr"]["epochs"]) == (0.5, 2)
    assert found["task1.ctr"]["learning_rate"] != 0.5


def test_a_default_in_local_reaches_a_task_that_an_environment_sets_otherwise():
    """Nearer the user wins only for the same key: a task's own setting stands above the default of both."""
    read = {"ctr": {"batch_size": 8, "seed": 1}, "task2": {"ctr": {"batch_size": 16}}}
    pass_on(read)
    assert read["task2"]["ctr"] == {"batch_size": 16, "seed": 1}
    assert read["task1_and_2"]["ctr"] == {"batch_size": 8, "seed": 1}


@pytest.mark.parametrize(
    ("given", "pipeline", "said"),
    [
        ({"ctr": {"epochs": 1}}, "task1", "epochs acts on nothing in this run (task1). Did you mean task1.ctr.epochs?"),
        ({"task1": {"ctr": {"seed": 1}}}, "task2", "Did you mean task2.ctr.seed?"),
        ({"finetune": {"epochs": 1}}, "data_processing", "that act: source, simulate, import_log, processing."),
        ({"verify": {"mode": "full"}}, "check_submission", "Settings that act: check_submission."),
    ],
)  # fmt: skip
def test_what_is_given_on_the_command_line_and_acts_on_nothing_is_refused_with_what_acts(given, pipeline, said):
    with pytest.raises(MmctrError) as error:
        refuse_idle(given, pipelines[pipeline].inputs(), pipeline)
    assert said in str(error.value)


@pytest.mark.parametrize("given", [{"ctr": {"epochs": 1}}, {"task2": {"ctr": {"seed": 1}}}, {"root": "x"}, {}])
def test_what_acts_on_something_is_not_refused(given):
    refuse_idle(given, pipelines["task2"].inputs(), "task2")


def test_every_setting_acts_on_a_run_that_bundles_what_was_trained_before():
    refuse_idle({"task1": {"ctr": {"epochs": 100}}}, pipelines["submission"].inputs(), "submission")
