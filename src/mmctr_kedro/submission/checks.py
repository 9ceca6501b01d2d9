"""What the challenge asks of a submission, as whole-array checks that name the row and the value."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError


def check_predictions(submission: pd.DataFrame, test_ids: np.ndarray, *, file: str, remedy: str) -> None:
    """Refuse a submission that the challenge would refuse or that says nothing; report every problem at once.

    Args:
        submission: ``ID`` and one column of scores per task, as they would stand in ``prediction.csv``.
        test_ids: ``[R]`` int64, the IDs of the test file, ascending.
        file: How to name the table in the error.
        remedy: What to run next, for the end of the error.

    Raises:
        MmctrError: an ID missing, unknown, twice or out of order; a score not finite, outside [0, 1]; a
            column of equal scores, which ranks nothing.
    """
    problems = list(id_problems(submission["ID"].to_numpy(), np.asarray(test_ids)))
    for name in submission.columns.drop("ID"):
        problems += score_problems(name, submission["ID"].to_numpy(), submission[name].to_numpy())
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise MmctrError(f"{file} is not a valid submission:\n{listed}\n{remedy}")


def id_problems(ids: np.ndarray, expected: np.ndarray) -> Iterator[str]:
    """What is wrong with the IDs of a submission; ``expected`` are those of the test file, ascending."""
    if np.array_equal(ids, expected):
        return
    if len(missing := np.setdiff1d(expected, ids)):
        yield f"ID: {len(missing)} of {len(expected)} test IDs are missing, first {missing[0]}"
    if len(unknown := np.setdiff1d(ids, expected)):
        yield f"ID: {len(unknown)} IDs are not in the test file, first {unknown[0]}"
    distinct, count = np.unique(ids, return_counts=True)
    if len(twice := distinct[count > 1]):
        yield f"ID: {len(twice)} IDs occur more than once, first {twice[0]} ({count[count > 1][0]} times)"
    if len(falls := np.flatnonzero(ids[1:] < ids[:-1])):
        row = falls[0] + 1
        yield f"ID: not ascending, row {row} has {ids[row]} after {ids[row - 1]}; expected the file's order"


def score_problems(name: str, ids: np.ndarray, scores: np.ndarray) -> Iterator[str]:
    """What is wrong with one column of scores; ``ids`` name the rows."""
    finite = np.isfinite(scores)
    for bad, expected in (
        (~finite, "a finite number"),
        (finite & ((scores < 0) | (scores > 1)), "a probability in [0, 1]"),
    ):
        if len(rows := np.flatnonzero(bad)):
            row = rows[0]
            yield f"{name}: {len(rows)} scores, first {scores[row]} at ID {ids[row]}; expected {expected}"
    if len(scores) > 1 and finite.all() and np.ptp(scores) == 0:
        yield f"{name}: all {len(scores)} scores are {scores[0]}, which ranks nothing"


def twin_problems(scores: dict[str, np.ndarray]) -> Iterator[str]:
    """Columns of several tasks that hold the same scores in every row: one model handed in twice."""
    for (name, column), (other, twin) in combinations(scores.items(), 2):
        if len(column) and np.array_equal(column, twin):
            yield f"{name} and {other} are equal in all {len(column)} rows; expected a model for each task"
