"""README and docs/ say what is so: their commands run, in a copy of the project with a world of 80 items."""

import importlib.util
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.conftest import copy_project

PROJECT = Path(__file__).parents[1]
WRITTEN = {"docs/speed.md", "docs/results.md"}  # by benchmarks; their commands take hours and have tests of their own
PAGES = [
    path
    for path in [
        "README.md",
        "CONTRIBUTING.md",
        *sorted(str(p.relative_to(PROJECT)) for p in PROJECT.glob("docs/**/*.md")),
    ]
    if path not in WRITTEN
]
CARRIED_OUT = {"docs/new-model.md", "docs/new-encoder.md"}  # with the code that their commands need: test_howtos.py
TINY = {
    "simulate": {"items": 80, "train_rows": 200, "valid_rows": 80, "test_rows": 40, "cover_size": 32},
    "ctr": {"batch_size": 64, "epochs": 1, "threads": 1},
    "task1.ctr": {"batch_size": 64, "threads": 1},  # fewer epochs may not be submitted
    "finetune": {"batch_size": 16, "pairs_per_epoch": 32, "epochs": 1},
    "tune": {"trials": 2, "seeds": 1, "finalists": 1},
}
NOT_RUN = {  # how a command begins, and why it is not run here
    "pip install": "needs the index; the extras that it names are looked up",
    "apt install": "changes the system",
    "brew install": "changes the system",
    "unar": "a program of the system's",
    "unrar": "a program of the system's",
    "curl": "tests/serving asks what the page asks",
    "kedro serve": "tests/serving/test_serve_command.py starts it",
    "kedro compare": "an id is another in each run; tests/test_compare.py compares two",
    "MMCTR_MLFLOW=1 kedro run": "tests/test_tracking.py runs it, where the extra is installed",
    "python -m venv": "the reader's own",
    "mlflow ui": "a server",
    "kedro viz": "tests/test_lineage_site.py builds and opens it",
    "make": "calls what the other commands call; its targets are looked up",
    "python -m benchmarks": "takes hours; tests/benchmarks run it in small",
    "python benchmarks": "takes hours; it is there",
    "pytest": "is what runs this",
    "kedro run --pipeline task2 --params task2.ctr.processes=2": "tests/pipelines/ctr runs it, by both launchers",
    "uv pip install": "needs the index",
    "python -m build": "tests/test_installed.py builds both",
    "mmctr_kedro new": "tests/test_installed.py makes one, and runs in it",
    "mmctr_kedro run --env smoke": "tests/test_installed.py makes a project, and runs in it",
    "python -m mmctr_kedro --conf-source": "tests/test_installed.py runs from a packaged conf/",
    "kedro package": "tests/test_installed.py packages",
    "diff": "the reader's own",
    "cd ": "the reader's own",
    "git": "the reader's own",
    ". ": "the reader's own",
}


def commands(page: str) -> list[str]:
    """What a page tells its readers to type: lines after ``$``, and ``kedro ...`` in the text."""
    text = (PROJECT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```(?:console|bash)\n(.*?)```", text, re.DOTALL)
    typed = [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    named = [code for code in re.findall(r"`([^`\n]+)`", prose) if re.match(r"(kedro|make|pip|mmctr_kedro) \S", code)]
    parts = [part for line in [*typed, *named] for part in line.split("#")[0].split("&&")]
    return list(dict.fromkeys(" ".join(part.split()) for part in parts if part.strip()))


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_tells_to_install_or_make_is_there(page):
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for command in commands(page):
        words = shlex.split(command)
        if words[0] == "pip":
            assert set(re.findall(r"\[([a-z,]+)\]", command)) <= {*extras, "binary", "standard"}, command
            assert not re.search(r"install (\"|')?mmctr", command), f"{command}: it is on no index"
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, command
        if words[:2] == ["python", "-m"]:
            assert importlib.util.find_spec(words[2]), command
        if words[0] == "python" and words[1].endswith(".py"):
            assert (PROJECT / words[1]).is_file(), command


def test_every_setting_has_a_meaning_and_stands_on_the_page_of_settings():
    written = runpy.run_path(str(PROJECT / ".ci" / "settings_page.py"))["page"]()
    assert (PROJECT / "docs" / "settings.md").read_text(encoding="utf-8") == written, "make docs"
    assert not [line for line in written.splitlines() if line.endswith("|  |")]


def test_every_page_is_in_the_sites_navigation():
    site = tomllib.loads((PROJECT / "zensical.toml").read_text())["project"]
    listed = re.findall(r"'([\w/-]+\.md)'", str(site["nav"]))
    assert sorted(f"docs/{page}" for page in listed) == sorted(
        str(path.relative_to(PROJECT)) for path in PROJECT.glob("docs/**/*.md")
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project as git knows it, tiny in every environment, after one ``kedro run``; beside it a log."""
    folder = copy_project(tmp_path_factory.mktemp("copy") / "mmctr_kedro")
    for environment in (folder / "conf").glob("*/"):
        for block, values in TINY.items():
            _set(environment, block, values)
    _write_log(folder.parent / "log", "interactions.csv", "user,item,timestamp", "items.csv", "item,title,tags")
    _write_log(
        folder.parent / "shared" / "data" / "movielens",
        *("ratings.csv", "userId,movieId,timestamp,rating", "movies.csv", "movieId,title,genres"),
    )
    release = folder / "data" / "microlens_log" / "01_raw" / "release"
    _write_log(release, "MicroLens-1M_pairs.csv", "user,item,timestamp", "MicroLens-1M_titles.csv", "item,title")
    (release / "item_images").rename(release / "MicroLens-1M_covers")
    mine = shutil.copytree(folder / "conf" / "movielens", folder / "conf" / "mine")  # as docs/log.md says
    (mine / "globals.yml").write_text("root: data/mine\nlog_folder: ../shared/data/movielens\n")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "as it is"]):  # to submit, one needs a commit
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)
    (folder / ".git" / "info" / "exclude").write_text("rows.parquet\nconf/tuned/\n")
    assert failure(folder, "kedro run") is None
    shutil.copytree(folder / "data" / "01_raw" / "challenge", folder / "data" / "microlens" / "01_raw")
    shutil.copytree(folder / "data" / "01_raw" / "challenge", folder.parent / "files")
    shutil.copy(folder.parent / "files" / "MicroLens_1M_x1" / "test.parquet", folder / "rows.parquet")
    return folder


def _set(environment: Path, block: str, values: dict) -> None:
    """Set values of a block, in the file of the environment that has it."""
    top, *rest = block.split(".")
    having = [file for file in environment.glob("parameters*.yml") if top in (yaml.safe_load(file.read_text()) or {})]
    file = having[0] if having else environment / f"parameters_{top}.yml"
    given = yaml.safe_load(file.read_text()) if having else {top: {}}
    tree = given[top]
    for part in rest:
        tree = tree.setdefault(part, {})
    tree.update(values)
    file.write_text(yaml.safe_dump(given))


def _write_log(folder: Path, clicks: str, clicks_header: str, items: str, items_header: str) -> None:
    """40 users with 24 clicks each on 60 items, which have titles and covers."""
    rng = np.random.default_rng(0)
    (folder / "item_images").mkdir(parents=True)
    rows = [
        [user, item, time, *([5] if "rating" in clicks_header else [])]
        for user in range(1, 41)
        for time, item in enumerate(rng.permutation(60)[:24] + 1, 1)
    ]
    lines = [",".join(map(str, row)) for row in rows]
    (folder / clicks).write_text("\n".join([clicks_header, *lines]) + "\n")
    width = items_header.count(",")
    lines = [",".join([str(item), f"title {item}", "drama|war"][: width + 1]) for item in range(1, 61)]
    (folder / items).write_text("\n".join([items_header, *lines]) + "\n")
    for item in range(1, 61):
        Image.new("RGB", (32, 32), (item * 4, 90, 160)).save(folder / "item_images" / f"{item}.jpg")


@cache
def failure(folder: Path, command: str) -> str | None:
    """What a command says where it fails; with places of this copy for those that a page leaves to its reader."""
    places = {
        "/path/to/log": folder.parent / "log",
        "/path/to/MicroLens_1M_MMCTR": folder.parent / "files",
        "path/to/bundle.zip": folder / "data" / "08_reporting" / "task2" / "bundle.zip",
        "verify.bundle=...": "verify.bundle=data/08_reporting/bundle.zip",
    }
    typed = command
    for place, here in places.items():
        typed = typed.replace(place, str(here))
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", *shlex.split(typed)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return f"{command}\n{done.stderr[-2000:]}" if done.returncode else None


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page not in CARRIED_OUT])
def test_the_commands_of_a_page_run_in_a_copy_of_the_project(page, project):
    typed = [command for command in commands(page) if not command.startswith(tuple(NOT_RUN))]
    for command in typed:
        assert command.startswith(("kedro ", "mmctr_kedro ")), f"{command}: run it here, or say in NOT_RUN why not"
    failed = [said for command in typed if (said := failure(project, command))]
    assert not failed, "\n\n".join(failed)
