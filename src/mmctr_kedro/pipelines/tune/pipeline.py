"""The pipeline ``tune``: settings of a task's CTR model searched for, and a page about it."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines import bound
from mmctr_kedro.pipelines.ctr.pipeline import EMBEDDINGS
from mmctr_kedro.pipelines.tune.nodes import tune_fixed_model, tune_model


def create_pipeline(task: str) -> Pipeline:
    """``{task}.tuning`` and its page, in the namespace of the task; Task 1 searches what its rules leave free."""
    given = ["clicks_train", "clicks_valid", "item_tags", EMBEDDINGS[task]]
    search = bound(tune_fixed_model if task == "task1" else tune_model, task=task)
    nodes = [
        node(
            search,
            ["params:ctr", "params:tune", "params:study", *given],
            ["tuning", "tuning_report"],
            name="tune",
        )
    ]
    return Pipeline(nodes, namespace=task, inputs=set(given), parameters={"params:tune"}, tags="tune")
