"""What made a node's results, and whether it is still the same."""

from __future__ import annotations

import json
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic_core import to_jsonable_python

from mmctr_kedro.common.files import atomic_write, written_since
from mmctr_kedro.common.params import ABSENT, find
from mmctr_kedro.running.planner.contents import Contents, Look, look
from mmctr_kedro.running.planner.sources import Sources, Symbol

FOLDER = ".plan"  # below the data root: a record per node, and what is known of files
_FORM = 1  # of a record; another number makes every record nobody's
_PLACES = {"filepath", "path", "metadata", "credentials", "version"}  # of an entry: where it lies, not what it is
_PIN = re.compile(r"([\w.-]+)==([^ ;]+)(.*)")
_SHOWN, _CHARACTERS = 3, 60  # names of a list and characters of a value that a reason tells


@dataclass(frozen=True)
class State:
    """All that decides what a node makes, at one moment.

    Attributes:
        parts: JSON; two equal states have equal parts.
        looks: Of every input that lies in files, its files as they were, by the input's name.
        unknown: Why this state equals no other one, if so.
        moment: ``time.monotonic_ns()`` when it was taken.
    """

    parts: dict[str, Any]
    looks: dict[str, Look]
    unknown: list[str]
    moment: int


class Planner:
    """Compares the nodes of one catalog with the records of their last runs.

    Args:
        catalog: Of the run; its parameters are the resolved, typed ones.
        folder: Where the records lie: one data root's.
        sources: The project's code.
        lock: requirements.lock, if there is one.
        parameters: The whole tree, typed. A catalog's own is typed only as far as the pipelines asked for go.
    """

    def __init__(
        self,
        catalog: CatalogProtocol,
        folder: Path,
        sources: Sources,
        lock: Path | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> None:
        self._parameters = {"parameters": parameters or ABSENT, "params": parameters}
        self._catalog, self._folder, self._sources, self._lock = catalog, folder, sources, lock
        self._contents = Contents(folder / "contents.json")

    def plan(self, pipeline: Pipeline) -> Iterator[tuple[Node, str, list[str]]]:
        """Every node in order with "run", "keep", or "maybe" where that hangs on what a node before it makes."""
        in_doubt: set[str] = set()
        for node in pipeline.nodes:
            reasons = self.why(node)
            awaited = sorted(in_doubt & set(node.inputs))
            verdict = "run" if reasons else "maybe" if awaited else "keep"
            if verdict != "keep":
                in_doubt |= set(node.outputs)
            yield node, verdict, reasons or [f"if {_listed(awaited)} changes" for _ in awaited[:1]]

    def why(self, node: Node) -> list[str]:
        """Why a node must run, in words; nothing where its results are what a run would make."""
        state = self.state(node)
        if state.unknown:
            return state.unknown
        if (record := self._read(node)) is None:
            return ["not run before"]
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
        settings = {name: self._setting(name) for name in node.inputs if _is_setting(name)}
        datasets = {name: self._catalog.get(name) for name in (*node.inputs, *node.outputs) if name not in settings}
        source = self._source(self.starts(node))
        looks, inputs, unknown = self._inputs(node, settings)
        unknown += [f"{name} lies in no file" for name in node.outputs if not self._path(name)]
        if not node.outputs:
            unknown.append("it makes no file")
        unknown += [f"the source of {name} is nowhere to be read" for name, digest in source.items() if digest is None]
        if touched := self._sources.touched(source):
            unknown.append(f"source changed while this process runs: {', '.join(touched)}")
        parts = {
            "node": repr(node),
            "constants": unfold(node.func)[1],
            "settings": settings,
            "entries": {name: _entry(dataset) for name, dataset in datasets.items()},
            "inputs": inputs,
            "source": source,
            **self._environment,
        }
        return State(parts, looks, unknown, moment)

    def record(self, node: Node, before: State) -> str | None:
        """Note, once its outputs are saved, what the node made them from; otherwise say why that is not known.

        Args:
            node: The node that ran.
            before: Its state when it began to read. An input that is another one now was perhaps read half old and
                half new, unless it was the node that wrote it: a store, which counts as the node has left it.
        """
        after = self.state(node)
        if unknown := before.unknown or after.unknown:
            return unknown[0]
        written = written_since(before.moment)
        for name, digest in after.parts["inputs"].items():
            was, now = before.looks.get(name), after.looks.get(name)
            if was is None or now is None:  # it says itself what it is
                if digest != before.parts["inputs"][name]:
                    return f"{name} changed meanwhile"
            elif strangers := _changed(was, now, self._path(name) or Path(name), written):
                return f"{name} changed meanwhile ({strangers[0] or 'all of it'})"
        if _text({**before.parts, "inputs": None}) != _text({**after.parts, "inputs": None}):
            return "its settings or source changed meanwhile"
        outputs = {name: self._digest(name) for name in node.outputs}
        with atomic_write(self._file(node)) as temporary:
            temporary.write_text(json.dumps({"form": _FORM, "parts": after.parts, "outputs": outputs}, indent=1))
        return None

    def remember(self) -> None:
        """Keep what was read of files for the next process."""
        self._contents.save()

    def _setting(self, name: str) -> Any:
        value = find(self._parameters, name.replace(":", "."))
        return _plain(self._catalog.load(name) if value is ABSENT else value)

    def _inputs(self, node: Node, settings: dict[str, Any]) -> tuple[dict[str, Look], dict[str, Any], list[str]]:
        """Of every input, and every file or folder that a setting names: its files, its digest; those without any."""
        places = {str(path): path for value in settings.values() for path in self._named(value)}
        inputs, unknown = {}, []
        for name in node.inputs:
            dataset = None if name in settings else self._catalog.get(name)
            if dataset is None or getattr(dataset, "cache", False):
                continue
            if hasattr(dataset, "fingerprint"):
                inputs[name] = dataset.fingerprint()
            elif path := self._path(name):
                places[name] = path
            else:
                unknown.append(f"{name} lies in no file")
        looks = {name: look(path) for name, path in places.items()}
        digests = {name: self._contents.digest(path, looks[name]) for name, path in places.items()}
        return looks, inputs | digests, unknown

    def _named(self, value: Any) -> Iterator[Path]:
        """The files and folders that a setting names; of a folder that holds our own records its name is enough."""
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from self._named(inner)
        elif isinstance(value, str) and (path := Path(value)).name not in ("", "..") and look(path):
            yield from [] if self._folder.resolve().is_relative_to(path.resolve()) else [path]

    def _path(self, name: str) -> Path | None:
        """Where a dataset lies, if it is on this machine's disk."""
        dataset = self._catalog.get(name)
        place = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
        return Path(place) if place and getattr(dataset, "_protocol", "file") == "file" else None

    def _digest(self, name: str) -> str | None:
        path = self._path(name)
        return self._contents.digest(path, look(path)) if path else None

    def starts(self, node: Node) -> set[Symbol]:
        """Where the code of a node begins: its functions and the classes of its datasets."""
        kinds = {type(self._catalog.get(name)) for name in (*node.inputs, *node.outputs) if not _is_setting(name)}
        return unfold(node.func)[0] | {(kind.__module__, kind.__qualname__) for kind in kinds}

    def _source(self, starts: set[Symbol]) -> dict[str, str | None]:
        """Digests of the code that a node runs; of what is not ours the whole file, None where there is none."""
        foreign = {module for module, _ in starts if module not in self._sources.modules}
        files = {module: Path(getattr(sys.modules.get(module), "__file__", None) or "") for module in foreign}
        elsewhere = {f"module {module}": self._contents.digest(file, look(file)) for module, file in files.items()}
        return {**self._sources.digests(starts), **elsewhere}

    @cached_property
    def _environment(self) -> dict[str, dict[str, str]]:
        """Locked and installed versions; distributions that are not installed are left out."""
        lines = self._lock.read_text().splitlines() if self._lock and self._lock.is_file() else []
        pins = [found.groups() for line in lines if (found := _PIN.match(line))]
        locked = {name + mark: pin for name, pin, mark in pins}
        installed = {"python": platform.python_version()}
        for name, _, _ in pins:
            with suppress(PackageNotFoundError):
                installed[name] = version(name)
        return {"locked": locked, "installed": installed}

    def _file(self, node: Node) -> Path:
        return self._folder / f"{quote(node.name, safe='')[:200]}.json"

    def _read(self, node: Node) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(self._file(node).read_text())
            return record if record["form"] == _FORM else None
        except (OSError, ValueError, KeyError):
            return None


def in_words(name: str, verdict: str, reasons: list[str]) -> str:
    """One line of a plan."""
    return f"{verdict:<5} {name}" + (f": {_listed(reasons, '; ')}" if reasons else "")


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What differs between two states' ``parts``, in words."""
    for name, was, now in _differing(old["settings"], new["settings"]):
        yield f"{name} {_short(was)} -> {_short(now)}"
    if inputs := [name for name, _, _ in _differing(old["inputs"], new["inputs"])]:
        yield f"{_listed(inputs)} changed"
    if files := [name for name, _, _ in _differing(old["source"], new["source"])]:
        yield f"source changed: {_listed(files)}"
    for kind in ("locked", "installed"):
        for name, was, now in _differing(old[kind], new[kind]):
            if was is not None and now is not None:  # one more or less decides nothing by being there
                yield f"{name} {was} -> {now} ({kind})"
    for name in sorted(old["entries"].keys() | new["entries"].keys()):
        if _text(old["entries"].get(name)) != _text(new["entries"].get(name)):
            yield f"catalog entry {name} changed"
    if _text([old["node"], old["constants"]]) != _text([new["node"], new["constants"]]):
        yield "it is wired otherwise in the pipeline"


def _differing(old: Any, new: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The leaves that differ, by their dotted names, with the old and the new value."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _differing(old.get(key), new.get(key), f"{at}.{key}" if at else key)
    elif _text(old) != _text(new):
        yield at, old, new


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # in which 1, 1.0 and True differ, and NaN does not


def _listed(names: list[str], comma: str = ", ") -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return comma.join(names[:_SHOWN]) + more


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else _text(value)
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 3]}..."


def _is_setting(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")


def _plain(value: Any) -> Any:
    """JSON of anything: typed settings as all their values, the defaults too."""
    return to_jsonable_python(value, fallback=repr)


def _entry(dataset: Any) -> Any:
    """How the catalog has a dataset loaded and saved."""
    given = getattr(dataset, "_init_args", {})
    given = {**given, **given.get("kwargs", {}), "kwargs": None}  # of a class whose __init__ takes anything
    arguments = {key: value for key, value in given.items() if key not in _PLACES}
    return _plain({"type": f"{type(dataset).__module__}.{type(dataset).__qualname__}", **arguments})


def unfold(function: Any) -> tuple[set[Symbol], list[Any]]:
    """The functions in partials, wrappers and closures, by module and top-level name, and what is bound to them."""
    symbols: set[Symbol] = set()
    constants: list[Any] = []
    todo, done = [function], set[int]()
    while todo:
        one = todo.pop()
        if id(one) in done:
            continue
        done.add(id(one))
        if isinstance(one, partial):
            todo += [one.func, *one.args, *one.keywords.values()]
            constants += [sorted(one.keywords)]
        elif callable(one):
            kind = one if hasattr(one, "__qualname__") else type(one)  # an object with __call__
            module = getattr(one, "__globals__", {}).get("__name__") or kind.__module__  # wraps() lies in __module__
            symbols.add((module, kind.__qualname__.split(".")[0]))
            for cell in getattr(one, "__closure__", None) or ():
                with suppress(ValueError):  # an empty one
                    todo.append(cell.cell_contents)
            owner = getattr(one, "__self__", None)  # of a method; of a function in C its module
            inner = [getattr(one, "__wrapped__", None), None if isinstance(owner, ModuleType) else owner]
            todo += [part for part in inner if part is not None]
            if kind is not one:
                constants.append(_plain(getattr(one, "__dict__", {})))
        else:
            constants.append(_plain(one))
    return symbols, constants


def _changed(was: Look, now: Look, path: Path, written: list[Path]) -> list[str]:
    """The files that differ between two looks at a path, less those that this process has written."""
    names = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    return [name for name in names if not any((path / name).absolute().is_relative_to(own) for own in written)]
