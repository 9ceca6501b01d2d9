"""Settings of a CTR model, found by valid AUC."""

from mmctr_kedro.pipelines.tune.pipeline import create_pipeline

__all__ = ["create_pipeline"]
