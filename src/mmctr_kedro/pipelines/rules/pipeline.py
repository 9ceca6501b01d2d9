"""The rules of a submission type, judged once it has predicted."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines import bound
from mmctr_kedro.pipelines.ctr.pipeline import EMBEDDINGS
from mmctr_kedro.submission.rules import judge


def create_pipeline(task: str) -> Pipeline:
    """What a task made to ``{task}.rules``, in its namespace."""
    of_task = bound(judge, task=task)
    parameters = ["params:processing", "params:embedding", "params:project"]
    shared = ["clicks_train", "clicks_valid", "clicks_test", "item_tags", EMBEDDINGS[task], "challenge_folder"]
    made = ["ctr_model", "training_history", "predictions"]
    judge_rules = node(of_task, [*parameters, *made, *shared], "rules", name="judge_rules")
    return Pipeline([judge_rules], namespace=task, inputs=set(shared), parameters=set(parameters), tags="rules")
