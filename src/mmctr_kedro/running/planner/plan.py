"""What made a node's results, and whether it is still the same."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from kedro.io import CatalogProtocol, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic_core import to_jsonable_python

from mmctr_kedro.common.files import atomic_write, stamp, written_since
from mmctr_kedro.common.params import find, leaves
from mmctr_kedro.common.words import and_more
from mmctr_kedro.running.planner.contents import Contents, stamps
from mmctr_kedro.running.planner.sources import Sources
from mmctr_kedro.running.project import Project

FOLDER = ".plan"  # below the data root: a record per node, and what is known of files
NEW = "not run before"
_FORM = 2  # of a record; another number makes every record nobody's
_PLACES = {"filepath", "path", "credentials"}  # of a catalog entry: where it lies, not what it is
_CHARACTERS = 60  # of a value that a reason tells

_json_of = partial(to_jsonable_python, fallback=repr)  # of anything: typed settings as all their values, defaults too


class State(NamedTuple):
    """All that decides what a node makes, at one moment."""

    parts: dict[str, Any]  # JSON; two equal states have equal parts
    unknown: list[str]  # why this state equals no other one, if so
    moment: int  # time.monotonic_ns()


class Planner:
    """Compares the nodes of one catalog with the records of their last runs.

    Args:
        catalog: Of the run.
        folder: Where the records lie: one data root's.
        sources: The project's code.
        project: Whose requirements.lock names the libraries that count.
        parameters: The whole tree, typed. A catalog's own is typed only as far as the pipelines asked for go.

    Attributes:
        contents: What is known of files; save it for the next process.
    """

    def __init__(
        self, catalog: CatalogProtocol, folder: Path, sources: Sources, project: Project, parameters: dict[str, Any]
    ) -> None:
        self.catalog, self._folder, self._sources, self._project = catalog, folder, sources, project
        self._parameters = {"parameters": parameters, "params": parameters}
        self.contents = Contents(folder / "contents.json")

    def plan(self, pipeline: Pipeline) -> Iterator[tuple[Node, str, list[str]]]:
        """Every node in order with "run", "keep", or "maybe" where that hangs on what a node before it makes."""
        in_doubt: set[str] = set()
        for node in pipeline.nodes:
            reasons, verdict = self.why(node), "run"
            if not reasons and (awaited := sorted(in_doubt & set(node.inputs))):
                reasons, verdict = [f"if {and_more(awaited)} changes"], "maybe"
            if reasons:
                in_doubt |= set(node.outputs)
            yield node, verdict if reasons else "keep", reasons

    def why(self, node: Node) -> list[str]:
        """Why a node must run, in words; nothing where its results are what a run would make."""
        state = self.state(node)
        if state.unknown:
            return state.unknown
        if (record := self.recorded(node)) is None:
            return [NEW]
        reasons = list(differences(record["parts"], state.parts))
        for name in node.outputs:
            if (digest := self._digest(name)) is None:
                reasons.append(f"{name} is missing")
            elif digest != record["outputs"].get(name):
                reasons.append(f"{name} is not what this node wrote")
        return reasons

    def state(self, node: Node) -> State:
        """What a run of the node would start from now."""
        moment = time.monotonic_ns()
        settings: dict[str, Any] = {}
        inputs: dict[str, str | None] = {}
        datasets: dict[str, Any] = {}
        unknown = [f"{name} lies in no file" for name in node.outputs if not self._path(name)]
        if not node.outputs:
            unknown.append("it makes no file")
        for name in (*node.inputs, *node.outputs):
            dataset: Any = self.catalog.get(name)
            if name.startswith("param") and isinstance(dataset, MemoryDataset | None):  # not a store among them
                value = find(self._parameters, name.replace(":", "."))
                settings[name] = _json_of(self.catalog.load(name) if value is None else value)
                inputs |= {str(path): self.contents.digest(path) for path in self._named(settings[name])}
                continue
            datasets[name] = dataset
            if name not in node.inputs or getattr(dataset, "cache", False):
                continue
            if hasattr(dataset, "fingerprint"):
                inputs[name] = dataset.fingerprint()
            elif self._path(name):
                inputs[name] = self._digest(name)
            else:
                unknown.append(f"{name} lies in no file")
        function, bound = node.func, []
        while isinstance(function, partial):
            bound.append([function.args, function.keywords])
            function = function.func
        entries = {name: _entry(dataset) for name, dataset in datasets.items() if dataset is not None}
        named = {text for entry in entries.values() for text in entry.values() if isinstance(text, str)}  # classes
        source = self._sources.digests({function.__module__, *named}, self.contents)
        if touched := self._sources.touched(source):
            unknown.append(f"source changed while this process runs: {and_more(touched)}")
        parts = {
            "settings": settings,
            "inputs": inputs,
            "source": source,
            "installed": self._installed,
            "entries": entries,
            "wiring": [repr(node), _json_of(bound)],
        }
        return State(parts, unknown, moment)

    def record(self, node: Node, before: State) -> str | None:
        """Note, once its outputs are saved, what the node made them from; otherwise say why that is not known.

        Args:
            node: The node that ran.
            before: Its state when it began to read. An input that is another one now was perhaps read half old and
                half new, unless the node wrote into it: a store, which counts as the node has left it.
        """
        after = self.state(node)
        if unknown := before.unknown or after.unknown:
            return unknown[0]
        written = written_since(before.moment)
        for name, _, now in _differing(before.parts["inputs"], after.parts["inputs"]):
            place = (self._path(name) or Path(name)).absolute()
            if any(file.is_relative_to(place) for file in written):
                before.parts["inputs"][name] = now
        if changed := next(differences(before.parts, after.parts), None):
            return f"{changed} meanwhile"
        outputs = {name: self._digest(name) for name in node.outputs}
        with atomic_write(self._file(node)) as temporary:
            temporary.write_text(json.dumps({"form": _FORM, "parts": after.parts, "outputs": outputs}, indent=1))
        return None

    def recorded(self, node: Node) -> dict[str, Any] | None:
        """What was noted of the node's last run: its ``parts`` and the digests of its ``outputs``."""
        try:
            record: dict[str, Any] = json.loads(self._file(node).read_text())
            return record if record["form"] == _FORM else None
        except (OSError, ValueError, KeyError):
            return None

    def _named(self, settings: Any) -> Iterator[Path]:
        """The files and folders that settings name; of a folder that holds our own records its name is enough."""
        for _, value in leaves(settings):
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and (path := Path(text)).name not in ("", "..") and stamps(path):
                    yield from [] if self._folder.resolve().is_relative_to(path.resolve()) else [path]

    def _path(self, name: str) -> Path | None:
        """Where a dataset lies, if it is on this machine's disk."""
        dataset = self.catalog.get(name)
        place = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
        return Path(place) if place and getattr(dataset, "_protocol", "file") == "file" else None

    def _digest(self, name: str) -> str | None:
        path = self._path(name)
        return self.contents.digest(path) if path else None

    @cached_property
    def _installed(self) -> dict[str, str]:
        places = [str(self._project.lock_file), *sys.path]  # a folder's time changes with each installation in it
        return self.contents.recall("installed", {place: stamp(place) for place in places}, self._project.versions)

    def _file(self, node: Node) -> Path:
        return self._folder / f"{quote(node.name, safe='')[:200]}.json"


def in_words(name: str, verdict: str, reasons: list[str]) -> str:
    """One line of a plan."""
    return f"{verdict:<5} {name}" + (f": {and_more(reasons, comma='; ')}" if reasons else "")


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What differs between two states' ``parts``, in words."""
    for name, was, now in _differing(old["settings"], new["settings"]):
        yield f"{name} {_short(was)} -> {_short(now)}"
    if inputs := [name for name, _, _ in _differing(old["inputs"], new["inputs"])]:
        yield f"{and_more(inputs)} changed"
    if files := [name for name, _, _ in _differing(old["source"], new["source"])]:
        yield f"source changed: {and_more(files)}"
    for name, was, now in _differing(old["installed"], new["installed"]):
        if was is not None and now is not None:  # one more or less decides nothing by being there
            yield f"{name} {was} -> {now}"
    for name in sorted(old["entries"].keys() | new["entries"].keys()):
        if old["entries"].get(name) != new["entries"].get(name):
            yield f"catalog entry {name} changed"
    if old["wiring"] != new["wiring"]:
        yield "it is wired otherwise in the pipeline"


def _differing(old: Any, new: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The leaves that differ, by their dotted names, with the old and the new value."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _differing(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    elif old != new:
        yield at, old, new


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 3]}..."


def _entry(dataset: Any) -> Any:
    """How the catalog has a dataset loaded and saved."""
    return _json_of({key: value for key, value in dataset._init_config().items() if key not in _PLACES})
