"""The notebooks run as they stand on what a run leaves, and are kept without what they printed."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, main_job, project_copy, monkeypatch):
    monkeypatch.setenv("KEDRO_ENV", "smoke")  # for a reader: %reload_kedro --env smoke
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project_copy / "src"), os.environ.get("PYTHONPATH", "")]))
    (project_copy / "data" / "smoke").symlink_to(main_job)
    notebook = nbformat.read(project_copy / "notebooks" / path.name, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(project_copy / "notebooks")}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_and_stored_without_output(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not [cell.source for cell in code if cell.outputs or cell.execution_count is not None]


def test_the_tour_leads_to_every_other_notebook():
    tour = NOTEBOOKS[0].read_text()
    assert len(NOTEBOOKS) == 4
    assert [path.name for path in NOTEBOOKS[1:] if f"({path.name})" not in tour] == []
