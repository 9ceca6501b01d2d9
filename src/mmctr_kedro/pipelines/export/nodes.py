"""Export a model, measure what was exported, and say what it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.clicks import Clicks, own_levels
from mmctr_kedro.export.export_model import export_model, measure
from mmctr_kedro.export.settings import ExportParams
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.reports.model_card import model_card
from mmctr_kedro.scoring.scorer import Scorer


def export(
    params: ExportParams,
    leak_free_model: TrainedModel,
    metrics: dict[str, Any],
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    item_content: pd.DataFrame,
    clicks_train: Clicks,
    clicks_valid: Clicks,
    data_report: dict[str, Any],
    task: str,
) -> dict[str, bytes]:
    """Files by name: those of ``export_model``, and ``MODEL_CARD.md`` with what each of them does on the valid rows."""
    scorer = Scorer(leak_free_model, item_tags, item_embedding, own_levels(item_content, clicks_train))
    files = export_model(scorer, params)
    card = model_card(task, leak_free_model.settings, metrics, measure(files, scorer, clicks_valid), data_report)
    return {**files, "MODEL_CARD.md": card.encode()}
