"""Submission: a checked zip per task and one for all three, each with the bundle that lets a stranger verify it."""

from functools import partial, update_wrapper

from kedro.pipeline import Node, Pipeline

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.pipelines.ctr.pipeline import EMBEDDINGS
from mmctr_kedro.pipelines.submission.nodes import make_bundle, make_submission

_SURROUNDINGS = ["parameters", "project", "raw_files"]
_SUBMITTED = ["predictions", "rules"]
_BUNDLED = ["ctr_model", "training_history", "metrics", "rules"]


def create_task_pipeline(task: str) -> Pipeline:
    """``{task}.predictions`` to ``{task}.submission`` and ``{task}.bundle``, in the namespace of the task."""
    make = update_wrapper(partial(make_submission, tasks=(task,)), make_submission)
    pack = update_wrapper(partial(make_bundle, tasks=(task,)), make_bundle)
    embedding = EMBEDDINGS[task]
    nodes = [
        Node(make, ["clicks_test", *_SUBMITTED], "submission", name="make_submission"),
        Node(pack, [*_SURROUNDINGS, "submission", embedding, *_BUNDLED], "bundle", name="make_bundle"),
    ]
    given = {"clicks_test", "project", "raw_files", embedding}
    return Pipeline(nodes, namespace=task, inputs=given, parameters={"parameters"}, tags="submission")


def create_pipeline() -> Pipeline:
    """The predictions of all three tasks to one submission and one bundle."""
    make = update_wrapper(partial(make_submission, tasks=TASKS), make_submission)
    pack = update_wrapper(partial(make_bundle, tasks=TASKS), make_bundle)
    submitted, bundled = ([f"{task}.{name}" for task in TASKS for name in names] for names in (_SUBMITTED, _BUNDLED))
    nodes = [
        Node(make, ["clicks_test", *submitted], "submission", name="combine_submissions"),
        Node(pack, [*_SURROUNDINGS, "submission", "item_embedding", *bundled], "bundle", name="make_combined_bundle"),
    ]
    return Pipeline(nodes, tags="submission")
