"""Pipeline ``finetune``: an encoder of ``embedding`` tuned by what train users click one after another."""

from mmctr_kedro.pipelines.finetune.pipeline import create_pipeline

__all__ = ["create_pipeline"]
