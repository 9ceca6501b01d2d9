"""The pipeline ``data_diagnostics``, drawn with the data it judges.

Kedro's sequential runner takes the nodes that are ready in order of their names, so this one, of a namespace
whose name comes before the others, runs before any encoding and training; a test holds it to that.
"""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.data_diagnostics.nodes import diagnose


def create_pipeline(**_: object) -> Pipeline:
    """From the contracts of ``data_processing`` to ``data_diagnostics``."""
    inputs = ["item_content", "clicks_train", "clicks_valid", "clicks_test"]
    nodes = [node(diagnose, inputs, "data_diagnostics", name="diagnose")]
    return Pipeline(nodes, namespace="data_processing", prefix_datasets_with_namespace=False)
