"""The nodes of ``check_submission``: a report, and a failed run where the file would be refused."""

from __future__ import annotations

from typing import Any

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.submission.check_submission import check_submitted, in_words

__all__ = ["check_submitted", "refuse_unfit"]


def refuse_unfit(submission_check: dict[str, Any]) -> None:
    """Fail the run if the file would be refused; by then the report is on disk.

    Raises:
        MmctrError: With the whole report in words.
    """
    if not submission_check["accepted"]:
        raise MmctrError(
            f"{in_words(submission_check)}\nMend the file, or make it again: kedro run; then check it again: "
            "kedro run --pipeline check_submission"
        )
