"""A submission of one's own scores, written without a run: the format is checked, no rule is judged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.common.words import did_you_mean
from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS, Submission
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.submission.submission_zip import submission_bytes
from mmctr_kedro.submission.table_checks import check_predictions


def write_submission(file: Path | str, clicks_test: Clicks, scores: Mapping[str, np.ndarray]) -> None:
    """Write the zip that the challenge takes, with ``prediction.csv``; equal scores give equal bytes.

    Whether scores were come by as the rules of a task ask is not looked at: ``kedro run`` judges that.

    Args:
        file: The zip to write, whole or not at all; what is there is replaced.
        clicks_test: The R test rows, whose ``row_id`` is the challenge's ID.
        scores: By task (``task1``, ``task2``, ``task1_and_2``), ``[R]`` float32 in [0, 1], in the rows' order.

    Raises:
        MmctrError: No such task, or scores that the challenge would refuse or that rank nothing.
    """
    for task, of_task in scores.items():
        if task not in SUBMISSION_COLUMNS:
            known = f"{did_you_mean(task, SUBMISSION_COLUMNS)} Known: {', '.join(SUBMISSION_COLUMNS)}."
            raise MmctrError(f"There is no task '{task}'.{known}")
        if len(of_task) != len(clicks_test):
            raise MmctrError(f"{task} has {len(of_task)} scores; expected {len(clicks_test)}, one for each test row.")
    columns = {
        name: np.asarray(scores[task], np.float32) for task, name in SUBMISSION_COLUMNS.items() if task in scores
    }
    table = pd.DataFrame({"ID": np.asarray(clicks_test.row_id, np.int64), **columns})
    check_predictions(table, clicks_test.row_id, file=str(file), remedy="Predict the test rows again, in their order.")
    with atomic_write(Path(file)) as temporary:
        temporary.write_bytes(submission_bytes(Submission(table)))
