"""A finished task held against every rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.common.params import EmbeddingParams, ProcessingParams, SubmissionParams
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.models import TrainedModel, model_settings
from mmctr_kedro.running.project import Project
from mmctr_kedro.submission.rules.artifacts import Artifacts, judge_artifacts
from mmctr_kedro.submission.rules.settings import judge_settings
from mmctr_kedro.submission.rules.wiring import NodeFacts, judge_wiring


def judge_rules(
    submission: SubmissionParams,
    processing: ProcessingParams,
    embedding: EmbeddingParams,
    project: Project,
    wiring: list[NodeFacts],
    ctr_model: TrainedModel,
    training_history: list[dict[str, Any]],
    predictions: pd.DataFrame,
    clicks_train: Clicks,
    clicks_valid: Clicks,
    clicks_test: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    challenge_folder: RawFolder,
    *,
    task: str,
) -> list[dict[str, Any]]:
    """Every rule of a submission type as JSON: ``rule``, ``source``, ``held``, ``evidence``, ``remedy``.

    The model's settings are the ones it was trained with, whatever conf/ says now.
    """
    found = Artifacts(
        ctr_model,
        training_history,
        predictions,
        clicks_train,
        clicks_valid,
        clicks_test,
        item_tags,
        item_embedding,
        challenge_folder,
    )
    verdicts = [
        *judge_settings(task, model_settings(ctr_model), processing, embedding, submission, project),
        *judge_wiring(task, wiring),
        *judge_artifacts(task, found),
    ]
    return [verdict.as_json() for verdict in verdicts]
