"""The CTR template, once per task: clicks and an item embedding to a model and its predictions."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.ctr.nodes import leave_out_the_leak, predict, train_fixed_model, train_model

# The embedding each task is judged on (the challenge's rules).
EMBEDDINGS = {
    "task1": "item_embedding",
    "task2": "provided_item_embedding",
    "task1_and_2": "item_embedding",
}


def create_pipeline(task: str) -> Pipeline:
    """Train, predict and leave out the leak in the namespace of the task; Task 1 trains the fixed model alone."""
    train = train_fixed_model if task == "task1" else train_model
    items = ["item_tags", EMBEDDINGS[task]]
    clicks = ["clicks_train", "clicks_valid", "clicks_test"]
    diagnosis = ["data_diagnostics", "item_content"]
    nodes = [
        node(
            train,
            ["params:ctr", "clicks_train", "clicks_valid", *items, "params:checkpoint"],
            ["ctr_model", "training_history"],
            name="train",
        ),
        node(predict, ["ctr_model", "clicks_valid", "clicks_test", *items], "predictions", name="predict"),
        node(
            leave_out_the_leak,
            ["ctr_model", *diagnosis, "clicks_train", "clicks_valid", *items, "params:leak_free_checkpoint"],
            ["leak_free_model", "leak_free_predictions"],
            name="leave_out_the_leak",
        ),
    ]
    return Pipeline(nodes, namespace=task, inputs={*clicks, *items, *diagnosis}, tags="ctr")
