"""Turn an interaction log into a challenge data set."""

from mmctr_kedro.pipelines.import_log.pipeline import create_pipeline

__all__ = ["create_pipeline"]
