"""``simulate``: the world generator, registered alone."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.simulate.nodes import write_world


def create_pipeline() -> Pipeline:
    """Write the world that ``params:simulate`` describes into the challenge folder."""
    return Pipeline([node(write_world, ["params:simulate", "challenge_folder"], "truth", name="write_world")])
