"""Variants of our model that settings alone cannot express, for the ablation table of docs/results.md."""

from __future__ import annotations

from collections.abc import Callable

from mmctr_kedro.models.layers import CtrModel

# Label to builder (params, item_tags, item_embedding, tags), called as the models' own classes are. Further settings of
# a variant, and variants of settings alone, are in benchmarks/study/study.yml under the same label.
ABLATIONS: dict[str, Callable[..., CtrModel]] = {}
