"""Pipeline ``embedding``: titles and covers become the item vectors that Task 1 is judged by."""

from mmctr_kedro.pipelines.embedding.pipeline import create_pipeline, create_variants_pipeline

__all__ = ["create_pipeline", "create_variants_pipeline"]
