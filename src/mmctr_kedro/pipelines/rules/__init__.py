"""Pipeline ``rules``: every rule of a submission type with its source, whether it held, and the evidence."""

from mmctr_kedro.pipelines.rules.pipeline import create_pipeline

__all__ = ["create_pipeline"]
