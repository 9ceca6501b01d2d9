"""MLflow, switched on and off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SWITCHED_ON = """
import sys
from kedro.framework.startup import bootstrap_project
from kedro.framework.session import KedroSession
bootstrap_project(sys.argv[1])
with KedroSession.create(sys.argv[1], env="smoke", runtime_params={"root": sys.argv[2]}) as session:
    session.run(pipeline_names=["task2"])
"""


@pytest.fixture
def project(project_copy) -> Path:
    """For an MLflow store of its own."""
    return project_copy


def in_process(project: Path, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    given = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), **environment}
    words = [sys.executable, "-c", code, *arguments]
    return subprocess.run(words, cwd=project, env=given, capture_output=True, text=True)


def test_mlflow_has_the_settings_the_metrics_of_each_epoch_the_page_and_the_model(project):
    pytest.importorskip("kedro_mlflow", reason="needs pip install kedro-mlflow")
    done = in_process(project, SWITCHED_ON, str(project), str(project / "data"), MMCTR_MLFLOW="1")
    assert done.returncode == 0, done.stderr
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    [found] = client.search_runs([client.get_experiment_by_name("mmctr_kedro").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["task2.ctr.learning_rate"] == "0.003"  # the model's own default
    assert found.data.params["simulate.train_rows"] == "800"
    epochs = client.get_metric_history(found.info.run_id, "task2.valid_auc")
    assert [entry.step for entry in epochs] == [1, 2, 3]
    assert found.data.metrics["task2.final.auc"] == pytest.approx(max(entry.value for entry in epochs))
    artifacts = {entry.path for entry in client.list_artifacts(found.info.run_id, "task2")}
    assert artifacts >= {"task2/report.html", "task2/ctr_model.safetensors"}


def test_switched_on_without_the_extra_it_says_what_to_install(project):
    absent = "import sys; sys.modules['kedro_mlflow'] = None; from kedro.framework.startup import bootstrap_project; "
    done = in_process(project, f"{absent}bootstrap_project('.')", MMCTR_MLFLOW="1")
    assert done.returncode == 1
    assert "pip install kedro-mlflow, in an environment of its own" in done.stderr
    assert "Traceback" not in done.stderr


def test_switched_off_nothing_is_written_for_it(project):
    done = in_process(project, SWITCHED_ON.replace("task2", "simulate"), str(project), str(project / "data"))
    assert done.returncode == 0, done.stderr
    assert not (project / "mlflow.db").exists()
