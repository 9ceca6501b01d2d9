"""Runs of the smoke world that differ by one setting, compared and listed by the commands."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from mmctr_kedro.cli import board, compare, update
from mmctr_kedro.submission.runs import runs_below

PROJECT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run(root: Path, rate: float) -> None:
    bootstrap_project(PROJECT)
    given = {"root": str(root), "task2": {"ctr": {"learning_rate": rate}}}
    with KedroSession.create(PROJECT, env="smoke", runtime_params=given) as session:
        session.run(pipeline_names=["task2"])


def said(command, *arguments: str, root: Path) -> str:
    before = os.getcwd()
    os.chdir(PROJECT)
    try:
        result = CliRunner().invoke(command, [*arguments, "--env", "smoke", "--params", f"root={root}"])
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder of results with two runs, the second over the first."""
    root = tmp_path_factory.mktemp("runs") / "data"
    run(root, 0.003)
    run(root, 0.001)
    return root


def test_a_run_that_a_later_one_overwrote_is_compared_with_it_by_id(root):
    newer, older = runs_below(root)[0]
    words = said(compare, older.bundle.id, newer.bundle.id, root=root)
    assert re.search(r"settings that differ +A +B\ntask2.ctr.learning_rate +0.003 +0.001\n\n", words)
    assert "The same in A and B: data, code, versions, machine." in words
    page = (root / "08_reporting" / "comparison.html").read_text()
    assert re.findall(r"<td>(task2\.[\w.]+)</td>", page) == ["task2.ctr.learning_rate"]


def test_the_bundle_has_the_id_of_its_record(root):
    words = said(compare, str(root), str(root / "08_reporting" / "task2" / "bundle.zip"), root=root)
    assert "No setting differs." in words
    assert "the difference is 0" in words


def test_rows_are_found_where_a_run_lies_whatever_folder_the_command_works_in(root, tmp_path):
    words = said(compare, str(root), str(root), "--task", "task2", root=tmp_path / "elsewhere")
    assert "the difference is 0" in words
    assert "not here" not in words


def test_the_board_lists_both_and_an_idle_update_adds_none(root):
    before = said(board, root=root)
    said(update, "--pipeline", "task2", root=root)  # with the environment's rate
    said(update, "--pipeline", "task2", root=root)
    ids = [run.bundle.id for run in runs_below(root)[0]]
    assert len(ids) == 3
    assert [line.split()[0] for line in before.splitlines()[2:4]] == ids[1:]
