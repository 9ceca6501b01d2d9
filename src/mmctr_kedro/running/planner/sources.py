"""Which of the project's code a function can run, read from its source without importing anything.

Counted are definitions, not files: a function, the top-level names it mentions, what those mention, and so on through
every import, also one inside a function. Comments, docstrings and layout do not count. A string that names a module of
the project, or the beginning of such names (``f"mmctr_kedro.models.{name}"``), counts as an import of all of it;
a dynamic import of anything else counts as an import of everything.

Not seen: a module that alters another one when it is imported, unless it does so by a bare statement in a module that
the function reaches.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

Symbol = tuple[str, str]  # a module's dotted name, and a name in it; ALL of it, or what RUNS whenever it is imported
ALL, RUNS = "*", ""
_DYNAMIC = {"globals", "eval", "exec", "__import__", "import_module"}


class Sources:
    """The source of one package, as it was when this object was made: keep one from the start of the process."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._seen = {path: _signature(path) for path in sorted(root.rglob("*.py"))}
        self.modules = {_dotted(path, root): path for path in self._seen}
        self._parsed: dict[str, _Module] = {}

    def digests(self, starts: Iterable[Symbol]) -> dict[str, str]:
        """For every file that the starts reach, by its path in the package, a digest of what they reach in it."""
        return {
            file: hashlib.sha256("".join(sorted({item.digest for item in items})).encode()).hexdigest()
            for file, items in self.reached(starts).items()
        }

    def reached(self, starts: Iterable[Symbol]) -> dict[str, list[Item]]:
        """The same statements themselves."""
        found: dict[str, list[Item]] = {}
        todo, done = list(starts), set[Symbol]()
        while todo:
            module, name = symbol = todo.pop()
            if symbol in done or module not in self.modules:
                continue
            done.add(symbol)
            todo += [(above, RUNS) for above in _and_parents(module)]
            items = self._module(module).items(name)
            todo += [mentioned for item in items for mentioned in item.mentions]
            if items:
                found.setdefault(str(self.modules[module].relative_to(self.root)), []).extend(items)
        return found

    def touched(self, files: Iterable[str]) -> list[str]:
        """Those of these files that are no longer what they were: what this process has imported cannot be told."""
        paths = {file: self.root / file for file in files}
        return [f for f, path in paths.items() if path in self._seen and _signature(path) != self._seen[path]]

    def _module(self, name: str) -> _Module:
        if name not in self._parsed:
            self._parsed[name] = _Module(name, self.modules)
        return self._parsed[name]


def _signature(path: Path) -> tuple[int, ...]:
    try:
        entry = os.stat(path)
    except OSError:
        return ()
    return entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns, entry.st_ino


def _dotted(path: Path, root: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _and_parents(module: str) -> Iterator[str]:
    while module:
        yield module
        module = module.rpartition(".")[0]


class _Module:
    """One parsed file: its top-level statements by the names they bind."""

    def __init__(self, name: str, modules: dict[str, Path]) -> None:
        self.name, self.modules = name, modules
        self.is_package = modules[name].name == "__init__.py"
        self.bound: dict[str, list[Item]] = {}
        self.runs: list[Item] = []
        content = modules[name].read_bytes()
        try:
            tree = ast.parse(content)
        except SyntaxError:  # whoever imports it will say so; meanwhile it counts as it stands
            tree = ast.Module([ast.Assert(ast.Constant(content))], [])
        for node in ast.walk(tree):
            if isinstance(body := getattr(node, "body", None), list):
                node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
        for statement in tree.body:
            self._add(statement)
        if not self.is_package:  # an import that nothing uses is there for what it does; a package's is for others
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            unused = (items for name, items in self.bound.items() if name not in used)
            self.runs += [item for items in unused for item in items if item.is_import]

    def items(self, name: str) -> list[Item]:
        if name == RUNS:
            return self.runs
        if name in self.bound or f"{self.name}.{name}" in self.modules:
            return self.bound.get(name, [])
        # All of it; also for a name that nothing here binds: a star import, or a module's __getattr__.
        return [*self.runs, *(item for items in self.bound.values() for item in items)]

    def _add(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING"):
            for line in statement.orelse:
                self._add(line)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                one = _with_names(statement, [alias])
                if alias.name == ALL:
                    self.runs.append(Item(one, self))
                else:
                    self._bind(alias.asname or alias.name.split(".")[0], one)
        elif names := _plainly_bound(statement):
            for name in names:
                self._bind(name, statement)
        else:
            self.runs.append(Item(statement, self))
            for node in ast.walk(statement):
                for name in _plainly_bound(node):
                    self.bound.setdefault(name, [])  # counted already, whoever asks

    def _bind(self, name: str, statement: ast.stmt) -> None:
        self.bound.setdefault(name, []).append(Item(statement, self))

    def imported(self, statement: ast.Import | ast.ImportFrom) -> Iterator[Symbol]:
        if isinstance(statement, ast.Import):
            yield from ((alias.name, ALL) for alias in statement.names)
            return
        base = statement.module or ""
        if statement.level:
            parents = list(_and_parents(self.name))
            base = ".".join(part for part in (parents[statement.level - self.is_package], base) if part)
        for alias in statement.names:
            yield base, alias.name
            if (inside := f"{base}.{alias.name}") in self.modules:
                yield inside, ALL

    def named(self, text: str) -> Iterator[Symbol]:
        """The modules that a string names, or begins to name."""
        top = self.name.split(".")[0]
        if text.startswith(f"{top}."):
            if text.endswith("."):
                yield from ((module, ALL) for module in self.modules if module.startswith(text))
            else:
                yield next((above, ALL) for above in _and_parents(text) if above in self.modules)


class Item:
    """One top-level statement: its digest, and what it mentions."""

    def __init__(self, statement: ast.stmt, module: _Module) -> None:
        self.statement, self._module = statement, module
        self.is_import = isinstance(statement, ast.Import | ast.ImportFrom)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(ast.dump(self.statement).encode(errors="surrogatepass")).hexdigest()

    @cached_property
    def mentions(self) -> list[Symbol]:
        found: list[Symbol] = []
        named: list[Symbol] = []
        dynamic = False
        for node in ast.walk(self.statement):
            if isinstance(node, ast.Name):
                dynamic |= node.id in _DYNAMIC
                if node.id in self._module.bound:
                    found.append((self._module.name, node.id))
            elif isinstance(node, ast.Attribute):
                dynamic |= node.attr == "import_module"
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found += self._module.imported(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named += self._module.named(node.value)
        if dynamic and not named:
            named = [(module, ALL) for module in self._module.modules]
        return list(dict.fromkeys(found + named))


def _is_text(line: ast.AST) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _with_names(statement: ast.Import | ast.ImportFrom, names: list[ast.alias]) -> ast.Import | ast.ImportFrom:
    if isinstance(statement, ast.Import):
        return ast.Import(names)
    return ast.ImportFrom(statement.module, names, statement.level)


def _plainly_bound(statement: ast.AST) -> list[str]:
    """The names that a definition, an import or an assignment to bare names binds; none for any other statement."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in statement.names]
    if isinstance(statement, ast.Assign):
        targets = [leaf for target in statement.targets for leaf in getattr(target, "elts", [target])]
    elif isinstance(statement, ast.AnnAssign | ast.AugAssign):
        targets = [statement.target]
    else:
        return []
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return names if len(names) == len(targets) else []
