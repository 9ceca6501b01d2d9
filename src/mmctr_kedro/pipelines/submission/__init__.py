"""Pipeline ``submission``: predictions become the challenge's zip files."""

from mmctr_kedro.pipelines.submission.pipeline import create_pipeline, create_task_pipeline

__all__ = ["create_pipeline", "create_task_pipeline"]
