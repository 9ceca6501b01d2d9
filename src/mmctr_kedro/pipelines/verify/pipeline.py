"""A bundle to ``verification``, which ends the run with an error where the bundle does not hold."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.verify.nodes import conclude, verify


def create_pipeline() -> Pipeline:
    """Rebuild, compare, conclude."""
    stores = ["verify_folder", "challenge_folder", "log_folder"]
    nodes = [
        node(verify, ["params:verify", "bundle_to_verify", "params:project", *stores], "verification", name="verify"),
        node(conclude, "verification", None, name="conclude"),
    ]
    return Pipeline(nodes, namespace="verify", prefix_datasets_with_namespace=False, parameters={"params:verify"})
