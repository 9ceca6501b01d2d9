"""``kedro run --pipeline task2`` on two processes of this machine, and on two workers of a Ray cluster."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmctr_kedro.models.model_file import load_model

PROJECT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


def task2(root: Path, *settings: str, **environment: str) -> tuple[bytes, str]:
    """The trained model's file and the log of a run in the smallest world, with no piece compared."""
    log = kedro("run", root, "task2.ctr.processes=2", *settings, **environment)
    assert (root / "08_reporting" / "task2" / "submission.zip").is_file()
    return (root / "06_models" / "task2" / "ctr_model.safetensors").read_bytes(), log


def kedro(command: str, root: Path, *settings: str, **environment: str) -> str:
    """The log of a command."""
    given = ",".join([f"root={root}", "ctr.model.compare=false", *settings])
    done = subprocess.run(
        [sys.executable, "-m", "kedro", *command.split(), "--env=smoke", "--pipeline=task2", f"--params={given}"],
        cwd=PROJECT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def by_torchrun(tmp_path_factory):
    root = tmp_path_factory.mktemp("torchrun")
    return root, *task2(root)


def test_two_local_processes_train_task2_and_the_first_tells_of_it(by_torchrun):
    root, _, log = by_torchrun
    assert [log.count(f"evidence epoch {epoch}/3: loss") for epoch in (1, 2, 3)] == [1, 1, 1]
    assert load_model(root / "06_models" / "task2" / "ctr_model.safetensors").settings["ctr"]["processes"] == 2
    assert not list((root / "06_models" / "task2").glob("checkpoint*"))


def test_how_many_processes_trained_a_model_counts_and_what_launched_them_does_not(by_torchrun):
    """Their number decides the rounding and the dropout."""
    root, *_ = by_torchrun
    by_ray = kedro("update --dry-run", root, "task2.ctr.processes=2", "task2.ctr.launcher=ray")
    assert "task2.train" in by_ray
    assert "run   task2.train" not in by_ray
    assert "run   task2.train: params:task2.ctr.processes 2 -> 1" in kedro("update --dry-run", root)


def test_two_workers_of_a_ray_cluster_train_the_same_model(by_torchrun, tmp_path):
    if find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install -e '.[ray]'")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        model, log = task2(tmp_path, "task2.ctr.launcher=ray", RAY_ADDRESS=cluster.address)
    finally:
        cluster.shutdown()
    assert model == by_torchrun[1]
    assert log.count("evidence epoch 3/3: loss") == 1
