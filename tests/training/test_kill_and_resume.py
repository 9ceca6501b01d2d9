"""A training killed by SIGKILL goes on from its checkpoint and ends as one that was never stopped, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kedro.models.settings import MODEL_PARAMS

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).parent / "killable.py"
PATIENCE = 120  # seconds, for a machine that has other things to do


def start(folder: Path, names, **environment) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    with (folder / "log.txt").open("a") as log:
        return subprocess.Popen(
            [sys.executable, str(PROGRAM), str(folder), *names],
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdout=log,
            stderr=log,
        )


def finish(process: subprocess.Popen, folder: Path) -> None:
    assert process.wait(PATIENCE) == 0, (folder / "log.txt").read_text()


def results(folder: Path) -> dict[str, dict]:
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in MODEL_PARAMS}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> dict[str, dict]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    finish(start(folder, MODEL_PARAMS), folder)
    return results(folder)


@pytest.mark.parametrize("seed", [1])
def test_every_model_killed_at_a_random_moment_ends_with_the_same_bytes(tmp_path, uninterrupted, seed):
    """Each is killed once, some time after its first checkpoints; one process then ends what all have begun."""
    moments = random.Random(seed)
    for name in MODEL_PARAMS:
        process = start(tmp_path, [name], KILL_AFTER=str(moments.uniform(0, 0.3)))
        assert process.wait(PATIENCE) == -signal.SIGKILL
        assert not (tmp_path / f"{name}.json").exists()
    finish(start(tmp_path, MODEL_PARAMS), tmp_path)
    log = (tmp_path / "log.txt").read_text()
    assert [name for name in MODEL_PARAMS if f"{name}: resuming from epoch" not in log] == []
    assert results(tmp_path) == uninterrupted


def test_a_kill_in_the_middle_of_writing_a_checkpoint_leaves_the_one_before(tmp_path, uninterrupted):
    name = next(iter(MODEL_PARAMS))
    assert start(tmp_path, [name], KILL_WHILE_SAVING="3").wait(PATIENCE) == -signal.SIGKILL
    assert list(tmp_path.glob(f".{name}.pt.*/*.pt"))  # the half that was written, which the next run sweeps
    finish(start(tmp_path, [name]), tmp_path)
    assert f"{name}: resuming from epoch" in (tmp_path / "log.txt").read_text()
    assert json.loads((tmp_path / f"{name}.json").read_text()) == uninterrupted[name]
