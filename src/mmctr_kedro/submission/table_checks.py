"""What the challenge asks of a submission, as whole-array checks that name the row and the value."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

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
    ids = submission["ID"].to_numpy()
    _, problems = check_ids(ids, np.asarray(test_ids))
    for name in submission.columns.drop("ID"):
        problems += check_scores(name, ids, submission[name].to_numpy())[1]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise MmctrError(f"{file} is not a valid submission:\n{listed}\n{remedy}")


def check_ids(ids: np.ndarray, expected: np.ndarray) -> tuple[dict[str, int], list[str]]:
    """Counts of a submission's IDs, and what is wrong with them; ``expected`` are those of the test file, ascending."""
    missing, unknown = np.setdiff1d(expected, ids), np.setdiff1d(ids, expected)
    distinct, count = np.unique(ids, return_counts=True)
    twice, falls = distinct[count > 1], np.flatnonzero(ids[1:] < ids[:-1])
    problems = []
    if len(missing):
        problems.append(f"ID: {len(missing)} of {len(expected)} test IDs are missing, first {missing[0]}")
    if len(unknown):
        problems.append(f"ID: {len(unknown)} IDs are not in the test file, first {unknown[0]}")
    if len(twice):
        problems.append(f"ID: {len(twice)} IDs occur more than once, first {twice[0]} ({count[count > 1][0]} times)")
    if len(falls):
        row = falls[0] + 1
        order = f"row {row} has {ids[row]} after {ids[row - 1]}; expected the file's order"
        problems.append(f"ID: not ascending, {order}")
    counts = {
        "missing": len(missing),
        "unknown": len(unknown),
        "twice": len(ids) - len(distinct),
        "out_of_order": len(falls),
        "gaps": int(distinct[-1] - distinct[0] + 1 - len(distinct)) if len(distinct) else 0,
    }
    return counts, problems


def check_scores(name: str, ids: np.ndarray, scores: np.ndarray) -> tuple[dict[str, Any], list[str]]:
    """Counts and range of one column of scores, and what is wrong with it; ``ids`` name the rows."""
    is_finite = np.isfinite(scores)
    outside = is_finite & ((scores < 0) | (scores > 1))
    problems = [
        f"{name}: {len(rows)} scores, first {scores[rows[0]]} at ID {ids[rows[0]]}; expected {expected}"
        for bad, expected in ((~is_finite, "a finite number"), (outside, "a probability in [0, 1]"))
        if len(rows := np.flatnonzero(bad))
    ]
    if len(scores) > 1 and is_finite.all() and np.ptp(scores) == 0:
        problems.append(f"{name}: all {len(scores)} scores are {scores[0]}, which ranks nothing")
    finite = scores[is_finite]
    counts = {
        "nan": int(np.isnan(scores).sum()),
        "infinite": int(np.isinf(scores).sum()),
        "outside": int(outside.sum()),
        "min": float(finite.min()) if len(finite) else None,
        "mean": float(finite.mean()) if len(finite) else None,
        "max": float(finite.max()) if len(finite) else None,
        "distinct": len(np.unique(finite)),
        "at_0": int((finite == 0).sum()),
        "at_1": int((finite == 1).sum()),
    }
    return counts, problems


def twin_problems(scores: dict[str, np.ndarray]) -> Iterator[str]:
    """Columns of several tasks that hold the same scores in every row: one model handed in twice."""
    for (name, column), (other, twin) in combinations(scores.items(), 2):
        if len(column) and np.array_equal(column, twin):
            yield f"{name} and {other} are equal in all {len(column)} rows; expected a model for each task"
