"""The pipeline ``check_submission``, which stands alone: a file and a test file in, a report out."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.check_submission.nodes import check_submitted, refuse_unfit


def create_pipeline() -> Pipeline:
    """The report is saved before an unfit file fails the run."""
    return Pipeline(
        [
            node(
                check_submitted,
                ["params:check_submission", "submitted", "submitted_test_ids"],
                "submission_check",
                name="check_submitted",
            ),
            node(refuse_unfit, "submission_check", None, name="refuse_unfit"),
        ]
    )
