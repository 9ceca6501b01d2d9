"""Search for settings and write the page about it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.reports.tuning_page import write_tuning_report
from mmctr_kedro.tuning.settings import TuneParams
from mmctr_kedro.tuning.study_file import StudyFile


def tune_fixed_model(
    params: FixedCtrParams,
    tune: TuneParams,
    study: StudyFile,
    train: Clicks,
    valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    *,
    task: str,
) -> tuple[dict[str, Any], str]:
    """Task 1: the five values of the challenge's fixed DIN; see ``tune_model``."""
    return _tune(params, tune, study, train, valid, item_tags, item_embedding, task=task)


def tune_model(
    params: CtrParams,
    tune: TuneParams,
    study: StudyFile,
    train: Clicks,
    valid: Clicks,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    *,
    task: str,
) -> tuple[dict[str, Any], str]:
    """Settings of the model that ``params.model`` names.

    Args:
        params: What is not searched, and where the search starts.
        tune: What is searched, and for how long.
        study: Where the trials are, unless ``tune.storage`` says so.
        train, valid, item_tags, item_embedding: As ``ctr.train`` has them.
        task: Name of the namespace.

    Returns:
        tuning: What ``tuning.search`` says, as JSON.
        tuning_report: The page about it, as HTML.
    """
    return _tune(params, tune, study, train, valid, item_tags, item_embedding, task=task)


def _tune(
    params: CtrParams | FixedCtrParams, tune: TuneParams, study: StudyFile, *data: Any, task: str
) -> tuple[dict[str, Any], str]:
    try:
        from mmctr_kedro.tuning.search import draw, search
    except ImportError as error:
        raise MmctrError(f"tune needs {error.name}: pip install -c requirements.lock optuna") from error
    tuning, trials = search(params, tune, tune.storage or study.url, *data)
    return tuning, write_tuning_report(tuning, draw(trials), task)
