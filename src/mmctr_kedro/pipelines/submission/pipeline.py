"""Submission: a checked zip per task and one for all three, each with the bundle that lets a stranger verify it."""

from kedro.pipeline import Node, Pipeline

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.pipelines import bound
from mmctr_kedro.pipelines.ctr.pipeline import EMBEDDINGS
from mmctr_kedro.pipelines.submission.nodes import combine_bundles, combine_submissions, make_bundle, make_submission
from mmctr_kedro.submission.bundle import Results

_SURROUNDINGS = ["parameters", "params:project", "data_report", "submission"]
_RESULTS = Results._fields


def create_task_pipeline(task: str) -> Pipeline:
    """``{task}.predictions`` to ``{task}.submission`` and ``{task}.bundle``, in the namespace of the task."""
    make = bound(make_submission, task=task)
    pack = bound(make_bundle, task=task)
    embedding = EMBEDDINGS[task]
    nodes = [
        Node(make, ["clicks_test", "predictions", "rules"], "submission", name="make_submission"),
        Node(pack, [*_SURROUNDINGS, embedding, *_RESULTS], "bundle", name="make_bundle"),
    ]
    given = {"clicks_test", "data_report", embedding}
    return Pipeline(nodes, namespace=task, inputs=given, parameters={"parameters", "params:project"}, tags="submission")


def create_pipeline() -> Pipeline:
    """The bundles of all three tasks to one submission and one bundle."""
    bundles = [f"{task}.bundle" for task in TASKS]
    nodes = [
        Node(combine_submissions, bundles, "submission", name="combine_submissions"),
        Node(combine_bundles, [*_SURROUNDINGS, "item_embedding", *bundles], "bundle", name="combine_bundles"),
    ]
    return Pipeline(
        nodes,
        namespace="all_tasks",
        prefix_datasets_with_namespace=False,
        parameters={"parameters", "params:project"},
        tags="submission",
    )
