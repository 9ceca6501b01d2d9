"""Pipeline ``check_submission``: what the challenge would say to any prediction.csv or zip."""

from mmctr_kedro.pipelines.check_submission.pipeline import create_pipeline

__all__ = ["create_pipeline"]
