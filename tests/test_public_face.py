"""What a user of the library sees: every name is there, typed, described, and costs nothing before it is used."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mmctr_kedro as mm

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "api.md").read_text()
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def test_importing_the_library_imports_nothing_else():
    heavy = "torch", "kedro", "pandas", "numpy", "pyarrow", "pydantic"
    code = f"import mmctr_kedro, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", mm.__all__)
def test_every_name_resolves_and_is_described(name):
    found = getattr(mm, name)
    assert found.__name__ == name
    assert inspect.getdoc(found)


def test_the_page_lists_the_names_and_no_other_each_with_its_docstring_on_the_reference_page():
    rows = [line for line in PAGE.splitlines() if line.startswith("| [`")]
    linked = re.findall(r"\[`(\w+)`\]\(reference\.md#([\w.]+)\)", "\n".join(rows))
    assert sorted(name for name, _ in linked) == mm.__all__
    assert [place for _, place in linked] == [f"mmctr_kedro.{mm._HOME[name]}.{name}" for name, _ in linked]
    assert re.findall(r"^::: (.+)$", REFERENCE, re.MULTILINE) == [place for _, place in linked]


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


def test_files_are_read_where_they_lie_and_a_missing_one_is_named(challenge_folder):
    data = mm.read_challenge(challenge_folder)
    assert (len(data.train), len(data.valid), len(data.test)) == (4, 2, 2)
    assert data.item_embedding[:, 0].tolist() == [0, 0.25, 0.5, 0.75]
    challenge_folder.file("valid").unlink()
    with pytest.raises(mm.MmctrError, match=r"valid\.parquet is missing\n.*Put the challenge's files into"):
        mm.read_challenge(challenge_folder)


def test_what_lies_in_a_folder_needs_the_folder(challenge_folder):
    data = mm.read_challenge(challenge_folder)
    with pytest.raises(mm.MmctrError, match=r"text vectors of item_feature.*give the folder"):
        mm.encode_titles(data.item_content, mm.TextEncoderParams(name="item_feature"))
    vectors, _ = mm.encode_titles(data.item_content, mm.TextEncoderParams(name="item_feature"), folder=challenge_folder)
    published = mm.EmbeddingParams(histories="published")
    with pytest.raises(mm.MmctrError, match="give the folder that has item_seq"):
        mm.fuse_items(vectors, vectors, data.item_embedding, data.train, published)


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ({"task3": [0.1, 0.2]}, "no task 'task3'. Did you mean 'task[12]'. Known: task1, task2, task1_and_2"),
        ({"task2": [0.1]}, "task2 has 1 scores; expected 2"),
        ({"task2": [0.1, np.nan]}, "Task2: 1 scores, first nan at ID 1; expected a finite number"),
        ({"task2": [0.1, 0.1]}, "which ranks nothing"),
    ],
)
def test_scores_that_the_challenge_would_refuse_are_not_written(challenge_folder, tmp_path, scores, says):
    test = mm.read_challenge(challenge_folder).test
    with pytest.raises(mm.MmctrError, match=says):
        mm.write_submission(tmp_path / "a.zip", test, {task: np.array(of_task) for task, of_task in scores.items()})
    assert not (tmp_path / "a.zip").exists()


def test_columns_of_a_submission_come_in_the_challenges_order(challenge_folder, tmp_path):
    test = mm.read_challenge(challenge_folder).test
    scores = {"task1_and_2": np.array([0.25, 0.5]), "task1": np.array([0.75, 0.125])}
    mm.write_submission(tmp_path / "a.zip", test, scores)
    checked = mm.check_submission(tmp_path / "a.zip", challenge_folder.file("test"), few_scores=2)
    assert checked["header"] == "ID,Task1,Task1&2"
    assert checked["columns"]["Task1&2"]["max"] == 0.5
