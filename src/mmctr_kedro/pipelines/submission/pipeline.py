"""Submission: a checked zip per task, and one for all three."""

from functools import partial, update_wrapper

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.submission.nodes import COLUMNS, combine_submissions, make_submission


def create_task_pipeline(task: str) -> Pipeline:
    """``{task}.predictions`` to ``{task}.submission``, in the namespace of the task."""
    make = update_wrapper(partial(make_submission, task=task), make_submission)
    nodes = [node(make, ["predictions", "clicks_test"], "submission", name="make_submission", tags="submission")]
    return Pipeline(nodes, namespace=task, inputs={"clicks_test"})


def create_pipeline() -> Pipeline:
    """The predictions of all three tasks to one submission."""
    inputs = [*(f"{task}.predictions" for task in COLUMNS), "clicks_test"]
    return Pipeline([node(combine_submissions, inputs, "submission", name="combine_submissions", tags="submission")])
