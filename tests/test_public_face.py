"""What a user of the library sees: every name is there, typed, described, and costs nothing before it is used."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mmctr_kedro as mm

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text()


def test_importing_the_library_imports_nothing_else():
    heavy = "torch", "kedro", "pandas", "numpy", "pyarrow", "pydantic"
    code = f"import mmctr_kedro, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", mm.__all__)
def test_every_name_resolves_and_is_described(name):
    found = getattr(mm, name)
    assert found.__name__ == name
    assert inspect.getdoc(found)


def test_the_page_lists_the_names_and_no_other_with_the_files_they_lie_in():
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(names for names, _, _ in rows))) == mm.__all__
    file = ""
    for names, _, where in rows:
        file = file if where == "the same" else re.search(r"\]\(\.\./(.*)\)", where)[1]
        first = getattr(mm, re.match(r"`(\w+)`", names)[1])
        assert inspect.getsourcefile(first) == str(ROOT / file)


def test_a_type_checker_sees_the_same_names_at_the_same_homes():
    tree = ast.parse(Path(mm.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.asname: f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    assert seen == {name: f"mmctr_kedro.{home}.{name}" for name, home in mm._HOME.items()}
    assert (Path(mm.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("name", [name for name in mm.__all__ if inspect.isfunction(getattr(mm, name))])
def test_every_argument_of_a_public_function_is_described_and_typed(name):
    function = getattr(mm, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for argument, parameter in signature.parameters.items():
        assert parameter.annotation is not inspect.Parameter.empty
        assert re.search(rf"\b{argument}\b", inspect.getdoc(function)), argument


def test_a_misspelt_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        mm.trian  # noqa: B018
    assert "train" in dir(mm)


def test_the_example_on_the_page_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/api.md", "exec"), {})
    assert re.search(r"valid AUC 0\.\d+", capsys.readouterr().out)
    assert (tmp_path / "submission.zip").is_file()
