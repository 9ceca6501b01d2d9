"""Rows of the user's own, scored by a trained model."""

from mmctr_kedro.pipelines.score.pipeline import create_pipeline

__all__ = ["create_pipeline"]
