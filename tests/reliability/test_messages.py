"""What a user of the command line sees where a disk or another run refuses: a message, no traceback."""

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
