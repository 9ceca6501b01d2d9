"""From predictions to the table a submission holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import SubmissionParams
from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS, Submission
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.submission.checks import check_predictions
from mmctr_kedro.submission.rules import broken, refusal

Rules = list[dict[str, Any]]  # verdicts as JSON


def make_submission(
    params: SubmissionParams, predictions: pd.DataFrame, clicks_test: Clicks, rules: Rules, *, task: str
) -> Submission:
    """The submission of one task, checked against the test file and held to the rules.

    Args:
        predictions: ``split`` ("valid", "test"), ``row_id`` int64, ``pctr`` float32, in row order.
        clicks_test: The test rows, whose ``row_id`` is the challenge's ID.
        rules: What became of each rule.
        task: A key of ``SUBMISSION_COLUMNS``.

    Returns:
        One row per test row; valid rows are left out.

    Raises:
        MmctrError: The table is not valid; or a rule is broken and ``params.rules`` is official.
    """
    return _checked(params, {task: predictions}, {task: rules}, clicks_test.row_id, file=f"{task}.submission")


def combine_submissions(
    params: SubmissionParams,
    task1: pd.DataFrame,
    task2: pd.DataFrame,
    task1_and_2: pd.DataFrame,
    task1_rules: Rules,
    task2_rules: Rules,
    task1_and_2_rules: Rules,
    clicks_test: Clicks,
) -> Submission:
    """The submission of all three tasks from their predictions: ``ID,Task1,Task2,Task1&2``; as ``make_submission``."""
    predictions = {"task1": task1, "task2": task2, "task1_and_2": task1_and_2}
    rules = {"task1": task1_rules, "task2": task2_rules, "task1_and_2": task1_and_2_rules}
    return _checked(params, predictions, rules, clicks_test.row_id, file="submission")


def _checked(
    params: SubmissionParams,
    predictions: dict[str, pd.DataFrame],
    rules: dict[str, Rules],
    test_ids: np.ndarray,
    file: str,
) -> Submission:
    refusals = [refusal(f"{task}.submission", verdicts) for task, verdicts in rules.items()]
    if params.rules == "official" and any(refusals):
        raise MmctrError("\n".join(filter(None, refusals)))
    columns = {}
    for task, rows in predictions.items():
        test, name = rows[rows["split"] == "test"], SUBMISSION_COLUMNS[task]
        column = pd.DataFrame({"ID": test["row_id"], name: test["pctr"].astype("float32")})
        remedy = f"Predict again: kedro run --pipeline {task}"
        check_predictions(column, test_ids, file=f"{file} ({task}.predictions)", remedy=remedy)
        columns[name] = column[name].to_numpy()
    reasons = tuple(f"{task}: {reason}" for task, verdicts in rules.items() for reason in broken(verdicts))
    if params.rules == "research" and not reasons:  # the rules were judged in another run
        reasons = ("submission.rules is research",)
    return Submission(pd.DataFrame({"ID": np.asarray(test_ids, dtype=np.int64), **columns}), reasons)
