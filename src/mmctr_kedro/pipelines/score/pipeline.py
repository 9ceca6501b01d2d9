"""The pipeline ``score``: any rows to their pCTR, by the model of a task that knows no leak."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.ctr.pipeline import EMBEDDINGS
from mmctr_kedro.pipelines.score.nodes import score


def create_pipeline(task: str) -> Pipeline:
    """``to_score`` to ``{task}.scored``, in the namespace of the task."""
    given = ["item_tags", EMBEDDINGS[task], "item_content", "clicks_train", "to_score"]
    nodes = [node(score, ["params:score", "leak_free_model", *given], "scored", name="score")]
    return Pipeline(nodes, namespace=task, inputs=set(given), parameters={"params:score"}, tags="score")
