"""A project of four nodes whose files a test may edit: raw → loud → polished → doubled, and raw → length."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner
from kedro_datasets.text import TextDataset

from mmctr_kedro.running.planner.plan import Planner
from mmctr_kedro.running.planner.recorder import Recorder, UpdateRunner
from mmctr_kedro.running.project import Project

FILES = {
    "__init__": "",
    "settings": """
from pydantic import BaseModel

class Settings(BaseModel):
    times: int = 2
    mark: str = "!"
""",
    "loud": '''
from toy.settings import Settings

def loud(raw: str, settings: Settings) -> str:
    """Shout."""
    return raw.upper() * settings.times + settings.mark
''',
    "polish": """
def polish(text: str) -> str:
    from toy.hidden import shine
    return shine(text)
""",
    "doubled": """
from toy.tools import double as twice

def doubled(polished: str) -> str:
    return twice(polished)
""",
    "length": """
from toy.kinds import count

def length(raw: str) -> str:
    return count(raw, "letters")
""",
    "tools": """
def double(text):
    return text + text
""",
    "hidden": """
def shine(text):
    return text.strip()
""",
    "kinds/__init__": """
from importlib import import_module

def count(text, kind):
    return str(import_module(f"toy.kinds.{kind}").count(text))
""",
    "kinds/letters": """
def count(text):
    return len(text)
""",
}


class Spy:
    def __init__(self) -> None:
        self.ran: list[str] = []

    @hook_impl
    def before_node_run(self, node) -> None:
        self.ran.append(node.name)


class Toy:
    """Every call of ``update``, ``run`` and ``plan`` is as a new process: it reads the package anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = {}
        self.lock = folder / "requirements.lock"
        self.lock.write_text("numpy==1.0\nnot-to-be-found==2.0\n")
        self.data = folder / "data"
        self.data.mkdir()
        (self.data / "raw.txt").write_text("abc ")
        for name, text in FILES.items():
            path = folder / "toy" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.extra: dict[str, Any] = {}  # datasets
        self.pipeline = self._pipeline

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / "toy" / f"{name}.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def update(self) -> list[str]:
        """The nodes that ran."""
        return self._go(UpdateRunner())

    def run(self) -> list[str]:
        return self._go(SequentialRunner())

    def plan(self) -> dict[str, tuple[str, list[str]]]:
        recorder, _ = self._session()
        return {node.name: (verdict, reasons) for node, verdict, reasons in recorder.planner.plan(self.pipeline())}

    def why(self, name: str) -> str:
        return "; ".join(self.plan()[name][1])

    def _session(self) -> tuple[Recorder, DataCatalog]:
        for name in [name for name in sys.modules if name.split(".")[0] == "toy"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        settings = importlib.import_module("toy.settings").Settings(**self.settings)
        names = ("raw", "loud", "polished", "doubled", "length")
        files = {name: TextDataset(filepath=str(self.data / f"{name}.txt")) for name in names}
        catalog = DataCatalog({**files, **self.extra})
        catalog["params:settings"] = settings
        parameters = catalog["parameters"] = {"settings": settings, "root": str(self.data)}
        recorder, project = Recorder(self.folder / "toy"), Project(self.folder)
        recorder.planner = Planner(catalog, self.data / ".plan", recorder.sources, project, parameters)
        return recorder, catalog

    def _go(self, runner) -> list[str]:
        recorder, catalog = self._session()
        manager, spy = _create_hook_manager(), Spy()
        manager.register(recorder)
        manager.register(spy)
        self.ran = spy.ran
        runner.run(self.pipeline(), catalog, manager)
        manager.hook.after_pipeline_run(run_params={}, run_result={}, pipeline=None, catalog=catalog)
        return spy.ran

    def _pipeline(self) -> Pipeline:
        wired = {
            "loud": (["raw", "params:settings"], "loud"),
            "polish": ("loud", "polished"),
            "doubled": ("polished", "doubled"),
            "length": ("raw", "length"),
        }
        functions = {name: getattr(importlib.import_module(f"toy.{name}"), name) for name in wired}
        return Pipeline([node(functions[name], *ends, name=name) for name, ends in wired.items()])


@pytest.fixture
def fresh(tmp_path, monkeypatch) -> Toy:
    """The project before its first run."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    return Toy(tmp_path)


@pytest.fixture
def toy(fresh) -> Toy:
    """The project, run once."""
    assert sorted(fresh.update()) == ["doubled", "length", "loud", "polish"]
    return fresh
