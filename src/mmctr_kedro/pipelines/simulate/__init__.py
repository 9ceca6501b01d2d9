"""Write a simulated world as a challenge data set."""

from mmctr_kedro.pipelines.simulate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
