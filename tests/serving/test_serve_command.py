"""`kedro serve` as docs/serving.md shows it: its commands run on a small run of their own, and its tables are whole."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from mmctr_kedro.serving.app import create_app
from mmctr_kedro.serving.settings import ServeParams

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text().split("## Service")[1]


def kedro(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kedro", *arguments]


def test_every_metric_stands_on_the_page(live):
    with TestClient(create_app(ServeParams(), live)) as client:
        metrics = set(re.findall(r"^# TYPE (mmctr_\w+) ", client.get("/metrics").text, re.MULTILINE))
    for name in metrics - {name for name in metrics if name.endswith("_created")}:
        assert f"`{name}" in PAGE


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--task", "task3"], "serve.task: Input should be 'task1', 'task2' or 'task1_and_2', got 'task3'"),
        (["--port", "99999"], "serve.port: Input should be less than or equal to 65535, got 99999"),
        (["--env", "smok"], "There is no environment smok. Did you mean smoke?"),
        ([], "No such file"),
    ],
)
def test_what_cannot_be_served_is_a_message_not_a_traceback(options, said, tmp_path):
    command = [*kedro("serve"), *options, "--params", f"root={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_pages_commands_answer_from_a_run(tmp_path):
    given = ["--env", "smoke", "--params", f"root={tmp_path}"]
    subprocess.run([*kedro("run"), "--pipeline", "task2", *given], cwd=ROOT, check=True, capture_output=True)
    served = re.search(r"\$ (kedro serve .*) --port 8000", PAGE)[1].split()[1:]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen([*kedro(*served), "--port", "0", *given], cwd=ROOT, stderr=file)
    try:
        end = time.monotonic() + 60
        while not (port := re.search(r"running on http://127\.0\.0\.1:(\d+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
        calls = re.findall(r"^\$ (curl .*)\n(.*)", PAGE, re.MULTILINE)
        assert len(calls) == 2
        for call, shown in calls:
            said = subprocess.check_output(call.replace(":8000", f":{port[1]}"), shell=True, text=True)
            answer = json.loads(said)
            assert list(answer) == re.findall(r'"(\w+)":', shown)
            assert (
                len(answer["items"])
                == len(answer["pctr"])
                == len(json.loads(re.search(r'"items":(\[.*?\])', shown)[1]))
            )
        digest = subprocess.check_output(
            ["sha256sum", tmp_path / "06_models/task2/leak_free_model.safetensors"], text=True
        )
        assert answer["model"] == digest.split()[0]
    finally:
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
