"""The pipeline ``finetune``."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.finetune.nodes import tune_encoder


def create_pipeline(**_: object) -> Pipeline:
    """From items and the clicks of train, and of train alone, to ``tuned_encoder``."""
    inputs = ["params:finetune", "params:embedding", "item_content", "covers", "clicks_train"]
    nodes = [node(tune_encoder, inputs, ["tuned_encoder", "tuning_report"], name="tune_encoder")]
    return Pipeline(
        nodes,
        namespace="finetune",
        prefix_datasets_with_namespace=False,
        parameters={"params:finetune": "params:finetune", "params:embedding": "params:embedding"},
    )
