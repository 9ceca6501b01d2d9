"""The model to put to use as files for other programs."""

from mmctr_kedro.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
