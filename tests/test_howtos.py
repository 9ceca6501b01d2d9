"""The how-to pages, carried out literally: every file, change and command of a page, in a copy of the project."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ["new-model.md", "new-encoder.md"]
BLOCK = re.compile(r"(?:^(Write|Change) `([^`]+)`:\n\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Step = Callable[[Path], None]


def steps(page: str) -> Iterator[Step]:
    """What to do in a copy of the project, of every block of a page; a block that says nothing to do is an error."""
    for word, path, language, text in BLOCK.findall(page):
        if word == "Write":
            yield lambda root, path=path, text=text: write(root / path, text)
        elif word == "Change" and language == "diff":
            yield lambda root, path=path, text=text: change(root / path, text)
        else:
            assert language == "console", f"neither a file nor a change nor a command:\n{text}"
            yield lambda root, text=text: run(root, text)


def follow(page: str, root: Path) -> None:
    for step in steps(page):
        step(root)


def write(file: Path, text: str) -> None:
    assert not file.exists(), f"{file} is there already"
    file.write_text(text)


def change(file: Path, diff: str) -> None:
    lines = [line if line.strip() else " \n" for line in diff.splitlines(keepends=True)]
    before, after = ("".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))
    text = file.read_text()
    assert text.count(before) == 1, f"{file} does not have once:\n{before}"
    file.write_text(text.replace(before, after))


def run(root: Path, session: str) -> None:
    """Commands after ``$``, each with what it prints, where that is said; ``...`` stands for anything."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "KEDRO_"))}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    environment["PYTHONPATH"] = str(root / "src")
    for command, says in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", session, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=root,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        as_said = OutputChecker().check_output(says, done.stdout, ELLIPSIS | NORMALIZE_WHITESPACE)
        assert not says or as_said, f"{command}\nprints:\n{done.stdout}\nand not:\n{says}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_step_of_the_page_can_be_carried_out_as_it_stands(page, project_copy):
    follow((DOCS / page).read_text(), project_copy)


@pytest.mark.parametrize("page", PAGES)
def test_the_files_and_changes_of_the_page_fit_the_project(page, project_copy, monkeypatch):
    """The quick half of the above: a changed line is noticed before the slow tests run."""
    monkeypatch.setitem(globals(), "run", lambda root, session: None)
    follow((DOCS / page).read_text(), project_copy)


@pytest.mark.slow
def test_the_contribution_of_the_page_fails_first_as_it_says_and_passes_with_its_code(project_copy):
    page = (DOCS.parent / "CONTRIBUTING.md").read_text()
    test, code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    command, error = re.findall(r"\$ (pytest .*)\n(E .*)\n", page)[0]
    tests = project_copy / "tests" / "reports" / "test_measures.py"
    tests.write_text(f"{tests.read_text()}\n\n{test}")
    run(project_copy, f"$ ! {command}\n...\n{error}\n...\n")
    measures = project_copy / "src" / "mmctr_kedro" / "evaluation" / "evaluate.py"
    measures.write_text(re.sub(r'( *"auc_unseen_items":.*\n)', rf"\1{code}", measures.read_text()))
    run(project_copy, f"$ {command}\n")


WRONG = {
    "a line that is not there": "Change `README.md`:\n\n```diff\n No such line.\n+Another.\n```\n",
    "a file that is there": "Write `README.md`:\n\n```markdown\nText.\n```\n",
    "a command that fails": "```console\n$ false\n```\n",
    "a command that prints something else": "```console\n$ echo yes\nno\n```\n",
    "a block that says nothing to do": "```python\nprint()\n```\n",
}


@pytest.mark.parametrize("page", WRONG.values(), ids=WRONG)
def test_a_step_that_cannot_be_carried_out_is_noticed(page, tmp_path):
    (tmp_path / "README.md").write_text("Text.\n")
    with pytest.raises(AssertionError):
        follow(page, tmp_path)
