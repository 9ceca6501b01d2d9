"""What a user of the command line sees where a name, a disk or another run refuses: a message, no traceback."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from filelock import FileLock
from kedro.framework.startup import bootstrap_project

from mmctr_kedro.cli import cli
from mmctr_kedro.running.lock import LOCK

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
    ],
)
def test_an_unknown_name_is_one_line_with_a_suggestion(command, words, said):
    bootstrap_project(PROJECT)
    result = CliRunner().invoke(cli, [command, *words.split()])
    assert (result.exit_code, result.output) == (1, f"Error: {said}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--runner SequentalRunner", "There is no runner SequentalRunner. Did you mean SequentialRunner?"),
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
