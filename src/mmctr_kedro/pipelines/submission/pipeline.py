"""Submission: a checked zip per task and one for all three, each with the bundle that lets a stranger verify it."""

from functools import partial, update_wrapper

from kedro.pipeline import Pipeline, node

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.pipelines.submission.nodes import combine_submissions, make_submission
from mmctr_kedro.submission.bundling import make_bundle, make_combined_bundle

_SURROUNDINGS = ["parameters", "project", "raw_files"]
_OF_A_TASK = ["ctr_model", "predictions", "training_history", "metrics", "rules"]


def create_task_pipeline(task: str) -> Pipeline:
    """``{task}.predictions`` to ``{task}.submission`` and ``{task}.bundle``, in the namespace of the task."""
    make = update_wrapper(partial(make_submission, task=task), make_submission)
    pack = update_wrapper(partial(make_bundle, task=task), make_bundle)
    embedding = "provided_item_embedding" if task == "task2" else "item_embedding"
    nodes = [
        node(
            make,
            ["params:submission", "predictions", "clicks_test", "rules"],
            "submission",
            name="make_submission",
            tags="submission",
        ),
        node(
            pack,
            [*_SURROUNDINGS, "artifacts", "submission", embedding, "report", *_OF_A_TASK],
            "bundle",
            name="make_bundle",
            tags="submission",
        ),
    ]
    return Pipeline(
        nodes,
        namespace=task,
        inputs={"clicks_test", "project", "raw_files", embedding},
        parameters={"params:submission", "parameters"},
    )


def create_pipeline() -> Pipeline:
    """The predictions of all three tasks to one submission and one bundle."""
    predictions, rules = ([f"{task}.{name}" for task in TASKS] for name in ("predictions", "rules"))
    of_each_task = [f"{task}.{name}" for task in TASKS for name in _OF_A_TASK]
    nodes = [
        node(
            combine_submissions,
            ["params:submission", *predictions, *rules, "clicks_test"],
            "submission",
            name="combine_submissions",
            tags="submission",
        ),
        node(
            make_combined_bundle,
            [*_SURROUNDINGS, "artifacts", "submission", "item_embedding", "report", *of_each_task],
            "bundle",
            name="make_combined_bundle",
            tags="submission",
        ),
    ]
    return Pipeline(nodes)
