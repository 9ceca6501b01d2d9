"""The pipeline ``export``: the model of a task that knows no leak to files for other programs, with a model card."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines import bound
from mmctr_kedro.pipelines.ctr.pipeline import EMBEDDINGS
from mmctr_kedro.pipelines.export.nodes import export


def create_pipeline(task: str) -> Pipeline:
    """``{task}.exported``, in the namespace of the task."""
    given = ["item_tags", EMBEDDINGS[task], "item_content", "clicks_train", "clicks_valid", "data_report"]
    inputs = ["params:export", "leak_free_model", "metrics", *given]
    nodes = [node(bound(export, task=task), inputs, "exported", name="export")]
    return Pipeline(nodes, namespace=task, inputs=set(given), parameters={"params:export"}, tags="export")
