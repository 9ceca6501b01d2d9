"""What a stranger installs: the wheel with its command, a new project's folder, and what `kedro package` makes."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import copy_project

# `kedro package`, but building with the setuptools that is here: an isolated build would download its own.
PACKAGE = """
import kedro.framework.cli.project as project
from kedro.framework.cli.cli import main
call = project.call
project.call = lambda words, **more: call([*words, *["--no-isolation"] * ("build" in words)], **more)
main()
"""
pytestmark = pytest.mark.slow
Command = Callable[..., subprocess.CompletedProcess[str]]


def plain_environment() -> dict[str, str]:
    """Without what Kedro puts there for other tests: by PYTHONPATH pip would find this project installed already."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KEDRO"))}


def python(*words: str, cwd: Path) -> None:
    words = (sys.executable, *words)
    done = subprocess.run(words, cwd=cwd, env=plain_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """What `kedro package` makes in a tree where somebody has settings, credentials and an environment of their own."""
    tree = copy_project(tmp_path_factory.mktemp("tree"))
    for own in ("local/parameters.yml", "base/credentials.yml", "tuned/parameters.yml"):
        (tree / "conf" / own).parent.mkdir(exist_ok=True)
        (tree / "conf" / own).write_text("mine: 1\n")
    python("-c", PACKAGE, "package", cwd=tree)
    return tree / "dist"


@pytest.fixture(scope="module")
def command(dist, tmp_path_factory) -> Command:
    """Runs a program of an environment that has the wheel; all else is this environment's: nothing is downloaded."""
    venv = tmp_path_factory.mktemp("environment")
    python("-m", "venv", "--without-pip", str(venv), cwd=venv)
    program = str(venv / "bin" / "python")
    (wheel,) = dist.glob("*.whl")
    python("-m", "pip", "--python", program, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=venv)
    found = subprocess.check_output(
        [program, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    (Path(found.strip()) / "all_else.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(name: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [venv / "bin" / name, *words], cwd=cwd, env=plain_environment(), capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def project(command, tmp_path_factory) -> Path:
    """A new project in which Task 2 has run on the smallest world."""
    beside = tmp_path_factory.mktemp("work")
    assert command("mmctr_kedro", "new", "x", cwd=beside).returncode == 0
    done = command("mmctr_kedro", "run", "--env", "smoke", "--pipeline", "task2", cwd=beside / "x")
    assert done.returncode == 0, done.stderr
    (beside / "x" / "said.txt").write_text(done.stderr)
    return beside / "x"


def test_the_wheel_has_the_projects_settings_and_nobodys_own(dist, tmp_path):
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    own = [name for name in names if re.search(r"local/.*yml|credentials.*yml|tuned", name)]
    assert own == []
    inside = "mmctr_kedro/template"
    assert {f"{inside}/conf/{name}" for name in ("base/catalog.yml", "smoke/globals.yml", "logging.yml")} <= names
    assert {f"{inside}/{name}" for name in ("requirements.lock", "gitignore", ".telemetry", "src/.gitkeep")} <= names


def test_a_wheel_of_the_source_archive_has_the_same_files(dist, tmp_path):
    python("-m", "build", "--no-isolation", "--outdir", str(tmp_path), cwd=dist.parent)
    (direct,), (again,) = dist.glob("*.whl"), tmp_path.glob("*.whl")
    assert set(zipfile.ZipFile(again).namelist()) == set(zipfile.ZipFile(direct).namelist())


def test_the_log_in_a_new_project_is_as_quiet_as_in_a_clone(project):
    lines = (project / "said.txt").read_text().splitlines()
    assert lines
    assert [line for line in lines if not re.match(r"\d\d:\d\d:\d\d (INFO|WARNING)  ", line)] == []


def test_the_second_run_has_nothing_to_do_and_no_commit(project, command):
    done = command("mmctr_kedro", "update", "--env", "smoke", "--pipeline", "task2", cwd=project)
    assert re.search(r"(\d+) of \1 nodes are up to date and were kept", done.stderr)
    assert "task2: commit unknown: no git repository of this project here" in done.stdout


def test_kedros_own_commands_work_in_it(project, command):
    assert "- task2\n" in command("python", "-m", "kedro", "registry", "list", cwd=project).stdout
    words = ["--env", "smoke", "--pipeline", "rules", "--namespaces", "task2"]
    assert "BROKEN  The code is a commit" in command("python", "-m", "kedro", "run", *words, cwd=project).stdout


def test_what_kedro_package_makes_runs_anywhere(dist, command, tmp_path):
    conf = dist / "conf-mmctr_kedro.tar.gz"
    words = [f"--conf-source={conf}", "--env", "smoke", "--pipeline", "data_processing"]
    done = command("python", "-m", "mmctr_kedro", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "data" / "smoke").rglob("data_report.json"))
    assert all(re.match(r"\d\d:\d\d:\d\d INFO", line) for line in done.stderr.splitlines())
