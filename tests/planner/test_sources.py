"""Which code counts for a node, read from the source."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.framework.project import configure_project, pipelines

import mmctr_kedro
from mmctr_kedro.common.params import VARIANTS
from mmctr_kedro.models import MODELS
from mmctr_kedro.running.planner.plan import unfold
from mmctr_kedro.running.planner.sources import Sources

PACKAGE = Path(mmctr_kedro.__file__).parent


def write(folder: Path, **files: str) -> Sources:
    package = folder / "shop"
    package.mkdir()
    for name, text in {"__init__": "", **files}.items():
        (package / f"{name}.py").write_text(text)
    return Sources(package)


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
    ],
)
def test_every_way_of_importing_leads_to_the_module(tmp_path, line):
    sources = write(tmp_path, near=f"{line}\ndef g():\n    return f, far, shop, other\n", far="def f(): ...\n")
    assert "far.py" in sources.digests([("shop.near", "g")])


@pytest.mark.parametrize(
    "call", ['import_module("shop.far")', 'import_module(f"shop.{name}")', "import_module(name)", "__import__(name)"]
)
def test_a_dynamic_import_leads_to_all_that_it_may_mean(tmp_path, call):
    text = f"from importlib import import_module\ndef g(name):\n    return {call}\n"
    assert "far.py" in write(tmp_path, near=text, far="def f(): ...\n").digests([("shop.near", "g")])


def test_what_a_module_does_when_it_is_imported_counts(tmp_path):
    near = "import shop.effect\nfrom shop.far import f\nTABLE = {}\nTABLE['x'] = f\ndef g(): ...\n"
    sources = write(tmp_path, near=near, far="def f(): ...\n", effect="print(1)\n")
    assert set(sources.digests([("shop.near", "g")])) == {"near.py", "far.py", "effect.py"}


def test_an_import_for_types_alone_does_not_count(tmp_path):
    near = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shop.far import F\ndef g(x: F): ...\n"
    assert set(write(tmp_path, near=near, far="class F: ...\n").digests([("shop.near", "g")])) == {"near.py"}


def test_a_file_that_is_not_python_counts_as_it_stands(tmp_path):
    sources = write(tmp_path, near="from shop.far import f\ndef g(): return f\n", far="def f(:\n")
    assert "far.py" in sources.digests([("shop.near", "g")])


@pytest.fixture(scope="module")
def ours() -> Sources:
    configure_project("mmctr_kedro")
    return Sources(PACKAGE)


def files_of(ours: Sources, pipeline: str, name: str) -> set[str]:
    node = next(node for node in pipelines[pipeline].nodes if node.name == name)
    return set(ours.digests(unfold(node.func)[0]))


def test_the_file_of_every_model_counts_for_a_training(ours):
    found = files_of(ours, "task2", "task2.train")
    assert {f"models/{name}.py" for name in MODELS} | {"training/loop.py", "batch.py"} <= found


def test_the_file_of_every_fusion_counts_for_the_embedding(ours):
    assert {f"fusion/{name}.py" for name in VARIANTS} <= files_of(ours, "embedding", "embedding.fuse")


def test_a_training_does_not_hang_on_encoders_worlds_or_reports(ours):
    found = files_of(ours, "__default__", "task1.train")
    assert not [file for file in found if file.startswith(("encoders", "worlds", "pipelines/reporting", "fusion"))]
