"""The rules of a submission type, judged once it has predicted."""

from functools import partial, update_wrapper

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.ctr.pipeline import EMBEDDINGS
from mmctr_kedro.pipelines.rules.nodes import judge_rules


def create_pipeline(task: str) -> Pipeline:
    """What a task made to ``{task}.rules``, in its namespace."""
    judge = update_wrapper(partial(judge_rules, task=task), judge_rules)
    shared = ["clicks_train", "clicks_valid", "clicks_test", "item_tags", EMBEDDINGS[task], "challenge_folder"]
    parameters = ["params:submission", "params:processing", "params:embedding"]
    nodes = [
        node(
            judge,
            [*parameters, "project", "wiring", "ctr_model", "training_history", "predictions", *shared],
            "rules",
            name="judge_rules",
        )
    ]
    return Pipeline(nodes, namespace=task, inputs={*shared, "project"}, parameters=set(parameters), tags="rules")
