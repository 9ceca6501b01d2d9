"""Pipeline ``verify``: a bundle alone, put to the test."""

from mmctr_kedro.pipelines.verify.pipeline import create_pipeline

__all__ = ["create_pipeline"]
