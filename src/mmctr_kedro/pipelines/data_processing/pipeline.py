"""The pipeline ``data_processing``."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.data_processing.nodes import prepare_raw_files, process_raw_files


def create_pipeline(**_: object) -> Pipeline:
    """From the choice of a source to the contracts of docs/contracts.md."""
    nodes = [
        node(
            prepare_raw_files,
            inputs=[
                "params:source",
                "params:simulate",
                "params:import_log",
                "challenge_folder",
                "log_folder",
            ],
            outputs=["raw_files", "truth"],
            name="prepare_raw_files",
        ),
        node(
            process_raw_files,
            inputs=["params:processing", "raw_files", "challenge_folder"],
            outputs=[
                "item_content",
                "item_tags",
                "provided_item_embedding",
                "clicks_train",
                "clicks_valid",
                "clicks_test",
                "data_report",
            ],
            name="process_raw_files",
        ),
    ]
    return Pipeline(nodes, namespace="data_processing", prefix_datasets_with_namespace=False)
