"""Pipeline ``ctr``: one template, a namespace per task: train a CTR model, predict valid and test."""

from mmctr_kedro.pipelines.ctr.pipeline import create_pipeline

__all__ = ["create_pipeline"]
