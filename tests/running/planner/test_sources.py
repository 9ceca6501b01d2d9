"""Which code counts for a node, read from the source."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.framework.project import configure_project, pipelines

import mmctr_kedro
from mmctr_kedro.models.settings import MODEL_PARAMS
from mmctr_kedro.running.planner.contents import Contents
from mmctr_kedro.running.planner.sources import Sources

PACKAGE = Path(mmctr_kedro.__file__).parent


def digests(folder: Path, start: str, **files: str) -> dict[str, str]:
    """Of what ``shop.start`` imports, in a package of these files."""
    package = folder / "shop"
    for name, text in {"__init__": "", "kinds/__init__": "", **files}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / f"{name}.py").write_text(text)
    return Sources(package).digests([f"shop.{start}"], Contents(folder / "memory.json"))


@pytest.mark.parametrize(
    "line",
    [
        "from shop.far import f",
        "from shop import far",
        "from .far import f",
        "from . import far",
        "import shop.far",
        "import shop.far as other",
        "from shop.far import *",
        "def g():\n    from shop.far import f",
        "LAZY = {'f': 'shop.far.f'}",
    ],
)
def test_every_way_of_importing_leads_to_the_module(tmp_path, line):
    found = digests(tmp_path, "near", near=line, far="import shop.further", further="", other="")
    assert set(found) == {"__init__.py", "near.py", "far.py", "further.py"}


@pytest.mark.parametrize("call", ['import_module(f"shop.kinds.{x}")', "import_module(x)", "importlib.import_module(x)"])
def test_a_name_put_together_at_run_time_leads_to_all_modules_that_it_may_mean(tmp_path, call):
    files = {"kinds/__init__": f"def g(x):\n    return {call}\n", "kinds/one": "", "kinds/other": "", "far": ""}
    assert set(digests(tmp_path, "kinds", **files)) == {f"{name}.py" for name in ("__init__", *files) if name != "far"}


def test_what_a_package_offers_does_not_count_for_who_imports_from_below_it(tmp_path):
    files = {"kinds/__init__": "from shop.kinds import one, other\n", "kinds/one": "", "kinds/other": ""}
    found = digests(tmp_path, "near", near="from shop.kinds.one import f\n", **files)
    assert set(found) == {"__init__.py", "near.py", "kinds/__init__.py", "kinds/one.py"}


def test_an_import_for_types_alone_does_not_count(tmp_path):
    near = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.far import F\ndef g(x: F): ...\n"
    assert set(digests(tmp_path, "near", near=near, far="class F: ...\n")) == {"__init__.py", "near.py"}


def test_a_file_that_is_not_python_counts_as_it_stands(tmp_path):
    assert "far.py" in digests(tmp_path, "near", near="from shop.far import f\n", far="def f(:\n")


@pytest.fixture(scope="module")
def ours() -> Sources:
    configure_project("mmctr_kedro")
    return Sources(PACKAGE)


def files_of(ours: Sources, pipeline: str, name: str) -> set[str]:
    node = next(node for node in pipelines[pipeline].nodes if node.name == name)
    return set(ours.digests([node.func.__module__], Contents(Path("none"))))


def test_the_file_of_every_model_counts_for_a_training(ours):
    found = files_of(ours, "task2", "task2.train")
    assert {f"models/{name}.py" for name in MODEL_PARAMS} | {"training/loop.py", "data/clicks.py"} <= found


def test_the_file_of_every_fusion_counts_for_the_embedding(ours):
    files = {"fusion/linear.py", "fusion/behaviour_contrastive.py", "fusion/sequence.py", "fusion/semantic_ids.py"}
    assert files <= files_of(ours, "embedding", "embedding.fuse")


def test_a_training_does_not_hang_on_encoders_worlds_or_reports(ours):
    found = files_of(ours, "__default__", "task1.train")
    assert not [file for file in found if file.startswith(("encoders", "worlds", "pipelines/reporting", "fusion"))]
