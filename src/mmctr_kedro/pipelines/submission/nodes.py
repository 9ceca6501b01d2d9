"""From predictions to the table a submission holds, and the bundle beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS, Submission
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.pipelines.settings import resolved
from mmctr_kedro.running.project import Project
from mmctr_kedro.submission.bundle import Bundle, Results, bundle, record
from mmctr_kedro.submission.rules import broken
from mmctr_kedro.submission.table_checks import check_predictions


def make_submission(
    clicks_test: Clicks, predictions: pd.DataFrame, rules: list[dict[str, Any]], *, task: str
) -> Submission:
    """The submission of one task, checked against the test file.

    Args:
        clicks_test: The test rows, whose ``row_id`` is the challenge's ID.
        predictions: ``split`` ("valid", "test"), ``row_id`` int64, ``pctr`` float32, in row order.
        rules: What became of each; a broken one marks the submission as not submittable.
        task: Names the column, by ``SUBMISSION_COLUMNS``.

    Returns:
        One row per test row, valid rows left out.

    Raises:
        MmctrError: The table is not valid.
    """
    test, name = predictions[predictions["split"] == "test"], SUBMISSION_COLUMNS[task]
    column = pd.DataFrame({"ID": test["row_id"], name: test["pctr"].astype("float32")})
    ids = np.asarray(clicks_test.row_id, dtype=np.int64)
    remedy = f"Predict again: kedro run --pipeline {task}"
    check_predictions(column, ids, file=f"{task}.submission ({task}.predictions)", remedy=remedy)
    table = pd.DataFrame({"ID": ids, name: column[name].to_numpy()})
    return Submission(table, tuple(f"{task}: {reason}" for reason in broken(rules)))


def make_record(
    parameters: dict[str, Any],
    project: Project,
    data_report: dict[str, Any],
    predictions: pd.DataFrame,
    leak_free_predictions: pd.DataFrame,
    *made: Any,
    task: str,
) -> Bundle:
    """What other runs of a task can be compared with; ``made`` are its ``Results``, in their order."""
    of_valid = [table.loc[table["split"] == "valid", "pctr"] for table in (predictions, leak_free_predictions)]
    valid_pctr = np.stack(of_valid).astype(np.float32)
    return record(resolved(parameters), project, data_report["raw_files"], {task: Results(*made)}, {task: valid_pctr})


def make_bundle(
    record: Bundle,
    project: Project,
    submission: Submission,
    item_embedding: np.ndarray,
    *made: Any,
    task: str,
) -> Bundle:
    """The bundle of one task: its record, and all it takes to do it again; ``made`` are its ``Results``, in order."""
    return bundle(record, project, submission, item_embedding, {task: Results(*made)})


def combine_submissions(*bundles: Bundle) -> Submission:
    """The submissions of several tasks as one, from their bundles.

    Raises:
        MmctrError: They do not answer the same test rows.
    """
    first, *others = (bundle.submission for bundle in bundles)
    for bundled, other in zip(bundles[1:], others, strict=True):
        if not other.table["ID"].equals(first.table["ID"]):
            theirs, ours = bundled.manifest["tasks"][0], bundles[0].manifest["tasks"][0]
            raise MmctrError(f"{theirs}.bundle and {ours}.bundle answer other test rows. Make both again: kedro run")
    columns = [submission.table.drop(columns="ID") for submission in others]
    reasons = [reason for submission in (first, *others) for reason in submission.not_submittable]
    return Submission(pd.concat([first.table, *columns], axis=1), tuple(reasons))


def combine_bundles(
    parameters: dict[str, Any],
    project: Project,
    data_report: dict[str, Any],
    submission: Submission,
    item_embedding: np.ndarray,
    *bundles: Bundle,
) -> Bundle:
    """The bundles of several tasks as one, around their common submission."""
    results = {task: made for bundle in bundles for task, made in bundle.results().items()}
    valid_pctr = {task: pctr for bundle in bundles for task, pctr in bundle.valid_pctr().items()}
    of_all = record(resolved(parameters), project, data_report["raw_files"], results, valid_pctr)
    return bundle(of_all, project, submission, item_embedding, results)
