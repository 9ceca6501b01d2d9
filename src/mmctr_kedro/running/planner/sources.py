"""Which files of the project a function may run code of: those that its module imports, and what they import.

Found by reading, not by importing. An import inside a function counts as any other, one for types alone does not. A
module that imports by a name put together at run time counts as importing its whole folder, and a text that begins
with the package's name (``"mmctr_kedro.models.din"``, ``f"mmctr_kedro.models.{name}"``) as importing what it names.
Packages above a module count by their own code, not by what they import: they say what users may import. Templates and
other files that are no code count with every module of the folder above them.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

from mmctr_kedro.common.files import stamp
from mmctr_kedro.running.planner.contents import Contents, stamps


class Sources:
    """The files of one package, as they were when this object was made: keep one from the start of the process."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = {file: seen for file, seen in sorted(stamps(root).items()) if not file.endswith(".pyc")}
        code = [file for file in self._seen if file.endswith(".py")]
        names = [f"{root.name}/{file}".removesuffix(".py").replace("/", ".").removesuffix(".__init__") for file in code]
        self.modules = dict(zip(names, code, strict=True))
        self._read: dict[str, tuple[str, list[str]]] = {}  # module: digest of its code, the names it imports

    def digests(self, names: Iterable[str], contents: Contents) -> dict[str, str]:
        """For every file that what has these dotted names imports, by its path in the package, a digest of its code.

        Comments, docstrings and layout do not count.
        """
        found: set[str] = set()
        todo = list(names)
        while todo:
            for module in self._meant(todo.pop()) - found:
                found.add(module)
                todo += self._code(module, contents)[1]
        above = {parent for module in found for parent in _prefixes(module)}
        digests = {self.modules[module]: self._code(module, contents)[0] for module in sorted(above)}
        folders = {PurePosixPath(self.modules[module]).parent for module in found} - {PurePosixPath()}
        other = [file for file in self._seen if not file.endswith(".py")]
        beside = [file for file in other if folders & set(PurePosixPath(file).parents)]
        return digests | {file: contents.digest(self._root / file) or "" for file in beside}

    def touched(self, files: Iterable[str]) -> list[str]:
        """Those of these files that are no longer what they were: what this process has imported cannot be told."""
        return [file for file in files if stamp(self._root / file) != self._seen.get(file, ())]

    def _meant(self, name: str) -> set[str]:
        """The module of a dotted name, which may go on with a name in it; with a dot at its end, all below."""
        if name.endswith("."):
            return {module for module in self.modules if module.startswith(name)}
        return set([module for module in _prefixes(name.replace(":", ".")) if module in self.modules][-1:])

    def _code(self, module: str, contents: Contents) -> tuple[str, list[str]]:
        if module not in self._read:
            file = self.modules[module]
            package = module if file.endswith("__init__.py") else module.rpartition(".")[0]
            path, seen = self._root / file, {file: self._seen[file]}
            self._read[module] = contents.recall(f"code of {path}", seen, lambda: _read_code(path, package))
        return self._read[module]


def _prefixes(name: str) -> list[str]:
    """``a``, ``a.b`` and ``a.b.c`` of ``a.b.c``."""
    return list(accumulate(name.split("."), "{}.{}".format))


class _WithoutWords(ast.NodeTransformer):
    """Leaves out docstrings, and imports for types alone."""

    def visit_Expr(self, node: ast.Expr) -> Any:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> Any:
        return node.orelse if ast.unparse(node.test).endswith("TYPE_CHECKING") else self.generic_visit(node)


def _read_code(path: Path, package: str) -> tuple[str, list[str]]:
    """The digest of a file's code, and the dotted names that it imports from its own project."""
    content = path.read_bytes()
    try:
        tree = _WithoutWords().visit(ast.parse(content))
    except SyntaxError:  # whoever imports it will say so; meanwhile it counts as it stands
        return hashlib.sha256(content).hexdigest(), []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            names |= {base if alias.name == "*" else f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
        elif {getattr(node, "id", None), getattr(node, "attr", None)} & {"import_module", "__import__"}:
            names.add(f"{package}.")
    ours = sorted(name for name in names if name.startswith(f"{package.partition('.')[0]}."))
    return hashlib.sha256(ast.dump(tree).encode(errors="surrogatepass")).hexdigest(), ours
