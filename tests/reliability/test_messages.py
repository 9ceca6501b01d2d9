"""What a user of the command line sees where a name, a disk or another run refuses: a message, no traceback."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock
from kedro.framework.project import settings
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from mmctr_kedro.cli import cli
from mmctr_kedro.common.errors import InvalidDataError
from mmctr_kedro.running.lock import LOCK, RunLock

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def kedro_run(tmp_path, monkeypatch):
    """``kedro run --env smoke --pipeline simulate`` on ``tmp_path``; its output, having failed."""
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)

    def run() -> str:
        words = ["run", "--env", "smoke", "--pipeline", "simulate", "--params", f"root={tmp_path}"]
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 1
        assert "Traceback" not in result.output
        return result.output.splitlines()[-1]

    return run


def test_a_full_disk_names_the_file_what_is_free_and_what_to_do(kedro_run, tmp_path, monkeypatch):
    sync = os.fsync

    def full(descriptor):
        if (tmp_path / "01_raw" / "challenge").exists():
            raise OSError(28, os.strerror(28))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    said = kedro_run()
    assert said.startswith(f"Error: {tmp_path}/01_raw/challenge/")
    assert "could not be written: No space left on device (" in said
    assert "MB free). Nothing is there yet. Make room and run again" in said


def test_a_full_disk_at_a_datasets_save_says_the_same(kedro_run, tmp_path, monkeypatch):
    sync = os.fsync

    def full(descriptor):
        if (tmp_path / "02_intermediate").exists():
            raise OSError(28, os.strerror(28))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert kedro_run().startswith(f"Error: {tmp_path}/02_intermediate/")


def test_a_run_beside_another_is_told_so(kedro_run, tmp_path):
    with FileLock(tmp_path / LOCK):
        assert f"Error: {tmp_path} is in use" in kedro_run()


@pytest.mark.parametrize("command", ["run", "update"])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--pipeline task3", "There is no pipeline task3. Did you mean task2?"),
        ("--pipelines task1,embeding", "There is no pipeline embeding. Did you mean embedding?"),
        ("--nodes task1.trian", "There is no node task1.trian. Did you mean task1.train?"),
        ("--from-nodes train --pipeline task1", "There is no node train. Did you mean task1.train?"),
        ("--tags encoders", "There is no tag encoders. Did you mean encoder?"),
        ("--namespaces embeding", "There is no namespace embeding. Did you mean embedding?"),
        ("--to-outputs task1.metric", "There is no dataset task1.metric. Did you mean task1.metrics?"),
        ("--load-versions task1.metric:2020", "There is no dataset task1.metric. Did you mean task1.metrics?"),
        ("--env smok", "There is no environment smok. Did you mean smoke?"),
        (
            "--pipeline task2 --from-nodes task2.predict --to-nodes task2.train",
            "No node of task2 is left by these options together; leave one out.",
        ),
        (
            "--pipelines import_log,data_processing",
            "import_log and data_processing cannot run together: Output(s) ['truth'] are returned by more than one "
            "nodes. Node outputs must be unique. One after the other: "
            "kedro run --pipeline import_log && kedro run --pipeline data_processing",
        ),
    ],
)
def test_an_unknown_name_is_one_line_with_a_suggestion(command, words, said, monkeypatch):
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)
    result = CliRunner().invoke(cli, [command, *words.split()])
    assert (result.exit_code, result.output) == (1, f"Error: {said}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--runner SequentalRunner", "There is no runner SequentalRunner. Did you mean SequentialRunner?"),
        ("--runner kedro.runner.NoRunner", "There is no runner kedro.runner.NoRunner. Known: ParallelRunner, Sequ"),
        ("--runner no.such.Runner", "There is no runner no.such.Runner. Known: ParallelRunner, SequentialRunner"),
        ("--runner ThreadRunner", "ThreadRunner and --async give other results"),
        ("--runner kedro.runner.ThreadRunner", "ThreadRunner and --async give other results"),
        ("--async", "ThreadRunner and --async give other results"),
        ("--runner-params is_async=True", "ThreadRunner and --async give other results"),
    ],
)
def test_a_runner_that_is_not_there_or_gives_other_results_is_refused(words, said):
    bootstrap_project(PROJECT)
    result = CliRunner().invoke(cli, ["run", *words.split()])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {said}")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        # The last would count alone.
        (
            ["--params", "ctr.epochs=1", "--params", "ctr.seed=2"],
            "--params is given twice, and only the last would count",
        ),
        (["--tags", "a", "-t", "b"], "--tags is given twice"),
        # Kedro has a message, and click would show none of it.
        (
            ["--pipeline", "task1", "--pipelines", "task2"],
            "Options '--pipeline' and '--pipelines' cannot be used together",
        ),
        (["--load-versions", "task1.metrics"], "Expected the form of 'load_versions' to be"),
    ],
)
def test_options_that_do_not_fit_are_refused_in_one_line(words, said, monkeypatch):
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)
    result = CliRunner().invoke(cli, ["run", *words])
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {said}")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run:\n  env: smoke\n pipeline: x\n", 'did not find expected key in "'),
        ("env: smoke\n", "KeyError: 'run'. Expected `run:` and below it options: `env: smoke`."),
        ("", "KeyError: 'run'"),
        ("run:\n  pipline: task1\n", "Key `pipline` in provided configuration is not valid."),
    ],
)
def test_a_config_file_that_cannot_be_read_is_a_message(text, said, tmp_path):
    (tmp_path / "run.yml").write_text(text)
    result = CliRunner().invoke(cli, ["run", "--config", str(tmp_path / "run.yml")])
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def test_without_settings_there_is_a_hint_at_conf_source(tmp_path, monkeypatch):
    """As from an empty folder, where somebody has installed the wheel."""
    bootstrap_project(PROJECT)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["run"])
    assert result.output == (
        f"Error: There are no settings: {tmp_path}/conf is missing. Make a project's folder and run in it: "
        "mmctr_kedro new FOLDER; or name a conf folder or archive: --conf-source path/to/conf\n"
    )


def test_a_message_comes_out_of_another_process_as_it_went_in():
    """ParallelRunner pickles what a node raises; it used to list the letters of the message as problems."""
    error = InvalidDataError(["a.csv is missing", "b.csv is empty"], "Put them there.")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert str(again).startswith("2 problems in the input files:\n  - a.csv is missing\n")


@pytest.mark.parametrize("runner", ["SequentialRunner", "ParallelRunner"])
def test_a_missing_file_is_a_message_with_every_runner(runner, tmp_path, monkeypatch):
    """A worker's exception comes without its cause."""
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)
    words = ["run", "--env", "smoke", "--nodes", "task1.predict", "--params", f"root={tmp_path}", "--runner", runner]
    result = CliRunner().invoke(cli, words)
    assert isinstance(result.exception, SystemExit)  # and no error that goes on
    assert (
        f"Error: {'A file is missing' if runner == 'SequentialRunner' else 'task1.ctr_model: Failed'}" in result.output
    )
    assert f"No such file or directory: '{tmp_path}/06_models/task1/ctr_model.safetensors'" in result.output
    assert "kedro run makes everything." in result.output


@pytest.mark.parametrize("given", [True, False])
def test_a_tilde_is_the_home_folder_wherever_a_path_is_set(given, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    choices = {"root": "~/x", "log_folder": "~/log", "challenge_folder": "~/raw"}
    blocks = {"verify": {"bundle": "~/b.zip"}, "check_submission": {"file": "~/s.zip", "test": "~/t.parquet"}}
    conf = tmp_path / "conf"
    if not given:
        shutil.copytree(PROJECT / "conf", conf)
        (conf / "smoke" / "globals.yml").write_text(json.dumps(choices))
        (conf / "smoke" / "parameters_verify.yml").write_text(json.dumps(blocks))
    bootstrap_project(PROJECT)
    how = {"runtime_params": choices | blocks} if given else {"conf_source": str(conf)}
    context = KedroSession.create(PROJECT, env="smoke", **how).load_context()
    places = {
        "data_report": "x/08_reporting/data_report.json",
        "bundle_to_verify": "b.zip",
        "log_folder": "log",
        "challenge_folder": "raw",
    }
    for name, place in places.items():
        assert Path(context.catalog.get(name)._filepath) == tmp_path / place
    assert context.params["check_submission"].file == f"{tmp_path}/s.zip"
    assert context.params["check_submission"].test == f"{tmp_path}/t.parquet"
    assert next(hooks._root for hooks in settings.HOOKS if isinstance(hooks, RunLock)) == tmp_path / "x"
