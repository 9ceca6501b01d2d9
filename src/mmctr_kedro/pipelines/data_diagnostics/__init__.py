"""Pipeline ``data_diagnostics``: whether train and valid are drawn alike, told before any training."""

from mmctr_kedro.pipelines.data_diagnostics.pipeline import create_pipeline

__all__ = ["create_pipeline"]
