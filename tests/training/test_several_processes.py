"""The same training on several processes: its losses, its predictions, one writer, and what becomes of a lost one."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from mmctr_kedro.common.errors import DiskError, MmctrError
from mmctr_kedro.models.model_file import save_model
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.training import launch
from mmctr_kedro.training.checkpoints import Checkpoints
from mmctr_kedro.training.steps import Steps
from mmctr_kedro.training.trained_model import train

PROGRAM = Path(__file__).parent / "shared.py"
CLOSE = 1e-4  # of a loss


def results_of(folder: Path, *launcher: str) -> dict[str, dict]:
    command = [sys.executable, *launcher, str(PROGRAM), str(folder / "result.json")]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def by_one(tmp_path_factory):
    return results_of(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module", params=[2, 3])
def by_several(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    torchrun = ["torch.distributed.run", "--standalone", f"--nproc-per-node={request.param}", f"--log-dir={folder}"]
    return results_of(folder, "-m", *torchrun)


@pytest.mark.slow
def test_every_model_trains_with_the_losses_of_one_process(by_one, by_several):
    """But where dropout draws: other shares, other masks."""
    for case in by_one.keys() - {"drawn"}:
        assert by_several[case]["losses"] == pytest.approx(by_one[case]["losses"], abs=CLOSE), case


@pytest.mark.slow
def test_every_model_has_the_same_weights_in_every_process(by_several):
    assert [case for case, found in by_several.items() if len(set(found["weights"])) != 1] == []
    assert all(np.isfinite(by_several["drawn"]["losses"]))


@pytest.mark.slow
def test_every_model_predicts_the_same_by_turns_as_alone(by_several):
    assert [case for case, found in by_several.items() if not found["predicts_as_one"]] == []


@pytest.fixture
def job(clicks, item_tags, item_embedding, small, no_dropout):
    """A training of 44 steps that leaves a checkpoint after each, without dropout."""
    model = small("transformer_dcn", **no_dropout("transformer_dcn"))
    settings = {"model": model, "batch_size": 18, "epochs": 4, "threads": 1, "device": "cpu", "checkpoint_minutes": 0.0}

    def run(checkpoints=None, **changes):
        tables = (clicks(192, seed=1), clicks(40, seed=2), item_tags, item_embedding)
        return train(*tables, CtrParams(**settings | changes), checkpoints=checkpoints)

    return run


def losses(history) -> list[float]:
    return [entry["train_loss"] for entry in history]


def equal(one, other) -> bool:
    return all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights | other.weights)


def kill_one_after_a_checkpoint(path: Path) -> threading.Thread:
    """Of the processes that train, the one that was started last."""

    def kill() -> None:
        while not path.exists():
            time.sleep(0.01)
        started = psutil.Process().children(recursive=True)
        workers = [child for child in started if re.search("spawn_main|RayTrainWorker", " ".join(child.cmdline()))]
        os.kill(max(workers, key=psutil.Process.create_time).pid, signal.SIGKILL)
        killed.touch()

    killed = path.with_name("killed")

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.fixture
def ray():
    """A Ray of two processors."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "ray"])
def test_a_killed_worker_is_started_again_and_the_training_ends_as_if_nothing_had_been(
    launcher, job, small, tmp_path, request, capfd
):
    settings = {"processes": 2, "model": small("transformer_dcn")}  # with its dropout
    model, history = job(**settings)
    if launcher == "ray":
        request.getfixturevalue("ray")
    killer = kill_one_after_a_checkpoint(tmp_path / "checkpoint-1.pt")
    again, history_again = job(Checkpoints(tmp_path / "checkpoint.pt"), launcher=launcher, **settings)
    killer.join()
    assert (tmp_path / "killed").exists()
    assert "transformer_dcn: resuming from epoch" in "".join(capfd.readouterr())
    assert equal(again, model)
    assert losses(history_again) == losses(history)
    assert model.settings["ctr"]["processes"] == 2


@pytest.mark.slow
def test_what_two_processes_left_one_goes_on_with(job, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr(launch, "RESTARTS", 0)
    killer = kill_one_after_a_checkpoint(tmp_path / "checkpoint-1.pt")
    with pytest.raises(ChildFailedError):
        job(Checkpoints(tmp_path / "checkpoint.pt"), processes=2)
    killer.join()
    _, history = job(Checkpoints(tmp_path / "checkpoint.pt"))
    assert "resuming from epoch" in caplog.text
    assert losses(history) == pytest.approx(losses(job()[1]), abs=CLOSE)


@pytest.mark.slow
def test_what_one_process_left_two_go_on_with(job, tmp_path, monkeypatch, capfd):
    class Killed(BaseException):
        pass

    def take_or_die(self, parts, take=Steps.take):
        if self.done == 13:
            raise Killed
        return take(self, parts)

    monkeypatch.setattr(Steps, "take", take_or_die)
    with pytest.raises(Killed):
        job(Checkpoints(tmp_path / "checkpoint.pt"))
    monkeypatch.undo()
    _, history = job(Checkpoints(tmp_path / "checkpoint.pt"), processes=2)
    assert "resuming from epoch 2 step 2" in capfd.readouterr().err
    assert losses(history) == pytest.approx(losses(job()[1]), abs=CLOSE)


@pytest.mark.slow
@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_two_processes_train_with_the_losses_of_one(job):
    """By nccl where each has a GPU; two on one GPU are joined by gloo."""
    assert losses(job(device="cuda", processes=2)[1]) == pytest.approx(losses(job(device="cuda")[1]), abs=CLOSE)


@pytest.mark.slow
def test_what_a_user_can_mend_is_said_once_and_not_tried_again(job, capfd):
    with pytest.raises(MmctrError, match="Lower learning_rate and run again"):
        job(processes=2, learning_rate=1e30)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_disk_that_cannot_be_written_is_said_as_in_one_process(job, monkeypatch):
    monkeypatch.setattr(launch, "RESTARTS", 0)
    model, _ = job()
    with pytest.raises(DiskError, match="/dev/null/model"):
        launch.launch(partial(save_model, model, "/dev/null/model"), CtrParams(processes=2, device="cpu"))


@pytest.mark.slow
def test_more_than_rays_processors_are_an_error_and_no_endless_wait(ray, job):
    with pytest.raises(MmctrError, match="2 processes of 4 threads need 8 CPUs; this Ray has 2"):
        job(processes=2, threads=4, launcher="ray")


def test_without_ray_the_error_says_how_to_get_it(job, monkeypatch):
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    with pytest.raises(MmctrError, match=r"pip install -c requirements\.lock ray"):
        job(processes=2, launcher="ray")
