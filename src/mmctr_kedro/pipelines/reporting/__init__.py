"""Pipeline ``reporting``: predictions become metrics, figures and readable pages."""

from mmctr_kedro.pipelines.reporting.pipeline import create_pipeline, create_task_pipeline

__all__ = ["create_pipeline", "create_task_pipeline"]
