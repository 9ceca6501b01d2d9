"""``import_log``: an interaction log as challenge files, registered alone."""

from kedro.pipeline import Pipeline, node

from mmctr_kedro.pipelines.import_log.nodes import import_log


def create_pipeline() -> Pipeline:
    """Write the challenge's files from the log that ``params:import_log`` describes."""
    return Pipeline(
        [
            node(
                import_log,
                ["params:import_log", "log_folder", "challenge_folder"],
                "truth",
                name="import_log",
            )
        ]
    )
