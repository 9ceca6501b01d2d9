"""One run at a time on one data root, told by the kernel's lock and not by a note."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.running import lock as run_lock
from mmctr_kedro.running.lock import NOTE

PROJECT = Path(__file__).parents[2]
PATIENCE = 60  # seconds


def run(root, pipeline="simulate", **given):
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env="smoke", runtime_params={"root": str(root), **given}) as session:
        session.run(pipeline_names=[pipeline])


@pytest.fixture
def holder(tmp_path):
    """A process in the middle of a run on ``tmp_path``; killed at the end."""
    root = tmp_path / "root"
    if (child := os.fork()) == 0:
        from mmctr_kedro.worlds import world

        world.draw_items = lambda _: time.sleep(PATIENCE)
        try:
            run(root)
        finally:
            os._exit(1)
    while not (root / "01_raw" / "challenge" / "world.json").exists():
        time.sleep(0.01)
    yield root, child
    end(child)


def written(root):
    """What lies there, without what its writer is about to remove."""
    return sorted(path for path in root.rglob("*") if ".part" not in str(path))


def end(child):
    with suppress(ChildProcessError):  # ended before
        if os.waitpid(child, os.WNOHANG) == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_second_run_is_refused_before_any_work_with_the_holders_name(holder):
    root, child = holder
    before = written(root)
    command = "kedro run --env smoke --pipeline simulate"
    words = rf"in use by process {child} on .*, `{command}` since .*--params root="
    with pytest.raises(MmctrError, match=words):
        run(root)
    assert written(root) == before


def test_another_root_is_free(holder, tmp_path):
    run(tmp_path / "other")


def test_a_killed_run_refuses_nobody(holder):
    root, child = holder
    end(child)
    assert f"process {child} on" in (root / NOTE).read_text()
    run(root)
    assert not (root / NOTE).exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_fails_or_is_interrupted_refuses_nobody(tmp_path, monkeypatch, error):
    def stop(*_):
        raise error

    monkeypatch.setattr("mmctr_kedro.worlds.world.draw_items", stop)
    with pytest.raises(error):
        run(tmp_path)
    monkeypatch.undo()
    run(tmp_path)


def test_a_run_sweeps_what_killed_ones_left(tmp_path):
    room = tmp_path / "04_feature" / ".a.npz.abcdefgh.part"
    room.mkdir(parents=True)
    run(tmp_path)
    assert not room.exists()


def test_a_place_that_may_not_be_written_is_a_message_before_any_work(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run_lock.FileLock, "acquire", refuse)
    with pytest.raises(MmctrError, match=r"may not be written: Permission denied\. Nothing was run"):
        run(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_looking_takes_no_lock(tmp_path):
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env="smoke", runtime_params={"root": str(tmp_path)}) as session:
        assert "task1.report" in session.load_context().catalog
    assert list(tmp_path.iterdir()) == []
