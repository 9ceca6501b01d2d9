"""What docs/scale.md runs: task2 on two processes of this machine, and on two workers of a Ray cluster."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmctr_kedro.models.model_file import load_model

PROJECT = Path(__file__).parents[3]
HERE, BY_RAY = re.findall(r"\$ kedro (run --pipeline task2 --params \S+)", (PROJECT / "docs" / "scale.md").read_text())
MODEL = Path("06_models", "task2", "ctr_model.safetensors")
pytestmark = pytest.mark.slow


def kedro(command: str, root: Path, **environment: str) -> str:
    """The log of a command in the smallest world, with no piece compared."""
    command = f"{command},root={root},ctr.model.compare=false"
    done = subprocess.run(
        [sys.executable, "-m", "kedro", *command.split(), "--env", "smoke"],
        cwd=PROJECT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def trained_here(tmp_path_factory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("here")
    return root, kedro(HERE, root)


def test_two_local_processes_train_task2_and_the_first_tells_of_it(trained_here):
    root, log = trained_here
    assert [log.count(f"evidence epoch {epoch}/3: loss") for epoch in (1, 2, 3)] == [1, 1, 1]
    assert load_model(root / MODEL).settings["ctr"]["processes"] == 2
    assert (root / "08_reporting" / "task2" / "submission.zip").is_file()
    assert not list((root / MODEL).parent.glob("checkpoint*"))


def test_how_many_processes_trained_a_model_counts_and_what_launched_them_does_not(trained_here):
    root, _ = trained_here
    planned = kedro(BY_RAY.replace("run", "update --dry-run"), root)
    assert "keep  task2.train" in planned
    planned = kedro(HERE.replace("run", "update --dry-run").replace("processes=2", "processes=1"), root)
    assert "run   task2.train: params:task2.ctr.processes 2 -> 1" in planned


def test_two_workers_of_a_ray_cluster_train_the_same_model(trained_here, tmp_path):
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        log = kedro(BY_RAY, tmp_path, RAY_ADDRESS=cluster.address)
    finally:
        cluster.shutdown()
    assert (tmp_path / MODEL).read_bytes() == (trained_here[0] / MODEL).read_bytes()
    assert log.count("evidence epoch 3/3: loss") == 1
