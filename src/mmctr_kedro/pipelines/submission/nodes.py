"""From predictions to the table a submission holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS, Submission
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.pipelines.settings import resolved
from mmctr_kedro.submission.bundling import Bundle, bundle
from mmctr_kedro.submission.checks import check_predictions
from mmctr_kedro.submission.rules import broken


def make_submission(clicks_test: Clicks, *results: Any, tasks: tuple[str, ...]) -> Submission:
    """The submission of one task, or of several together, checked against the test file.

    Args:
        clicks_test: The test rows, whose ``row_id`` is the challenge's ID.
        results: ``predictions`` and ``rules`` of each task, task by task. Predictions have ``split`` ("valid", "test"),
            ``row_id`` int64 and ``pctr`` float32, in row order; rules are what became of each, as JSON.
        tasks: Keys of ``SUBMISSION_COLUMNS``, in its order.

    Returns:
        One row per test row, valid rows left out; a broken rule marks it as not submittable.

    Raises:
        MmctrError: The table is not valid.
    """
    columns, reasons = {"ID": np.asarray(clicks_test.row_id, dtype=np.int64)}, []
    for task, predictions, rules in zip(tasks, results[::2], results[1::2], strict=True):
        test, name = predictions[predictions["split"] == "test"], SUBMISSION_COLUMNS[task]
        column = pd.DataFrame({"ID": test["row_id"], name: test["pctr"].astype("float32")})
        remedy = f"Predict again: kedro run --pipeline {task}"
        check_predictions(column, columns["ID"], file=f"{task}.submission ({task}.predictions)", remedy=remedy)
        columns[name] = column[name].to_numpy()
        reasons += [f"{task}: {reason}" for reason in broken(rules)]
    return Submission(pd.DataFrame(columns), tuple(reasons))


def make_bundle(parameters: dict[str, Any], *made: Any, tasks: tuple[str, ...]) -> Bundle:
    """What ``bundling.bundle`` makes of every setting and of what these tasks made, in the order of its arguments."""
    return bundle(resolved(parameters), *made, tasks=tasks)
