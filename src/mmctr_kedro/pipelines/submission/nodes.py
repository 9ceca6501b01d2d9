"""From predictions to the table a submission holds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mmctr_kedro.batch import Clicks
from mmctr_kedro.pipelines.submission.checks import check_predictions

COLUMNS = {
    "task1": "Task1",
    "task2": "Task2",
    "task1_and_2": "Task1&2",
}  # the challenge's names, in its order


def make_submission(predictions: pd.DataFrame, clicks_test: Clicks, *, task: str) -> pd.DataFrame:
    """The submission of one task, checked against the test file.

    Args:
        predictions: ``split`` ("valid", "test"), ``row_id`` int64, ``pctr`` float32, in row order.
        clicks_test: The test rows, whose ``row_id`` is the challenge's ID.
        task: A key of ``COLUMNS``.

    Returns:
        ``ID`` int64 ascending and the task's column float32, one row per test row; valid rows are left out.
    """
    return _checked({task: predictions}, clicks_test.row_id, file=f"{task}.submission")


def combine_submissions(
    task1: pd.DataFrame, task2: pd.DataFrame, task1_and_2: pd.DataFrame, clicks_test: Clicks
) -> pd.DataFrame:
    """The submission of all three tasks from their predictions: ``ID,Task1,Task2,Task1&2``."""
    predictions = {"task1": task1, "task2": task2, "task1_and_2": task1_and_2}
    return _checked(predictions, clicks_test.row_id, file="submission")


def _checked(predictions: dict[str, pd.DataFrame], test_ids: np.ndarray, file: str) -> pd.DataFrame:
    columns = {}
    for task, rows in predictions.items():
        test = rows[rows["split"] == "test"]
        column = pd.DataFrame({"ID": test["row_id"], COLUMNS[task]: test["pctr"].astype("float32")})
        remedy = f"Predict again: kedro run --pipeline {task}"
        check_predictions(column, test_ids, file=f"{file} ({task}.predictions)", remedy=remedy)
        columns[COLUMNS[task]] = column[COLUMNS[task]].to_numpy()
    return pd.DataFrame({"ID": np.asarray(test_ids, dtype=np.int64), **columns})
