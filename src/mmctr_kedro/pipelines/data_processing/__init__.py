"""Pipeline ``data_processing``: validates the raw challenge files and makes the contracts."""

from mmctr_kedro.pipelines.data_processing.pipeline import create_pipeline

__all__ = ["create_pipeline"]
