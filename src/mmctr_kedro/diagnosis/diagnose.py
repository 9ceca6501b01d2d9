"""Look at the splits before anybody trains on them."""

from __future__ import annotations

import logging
from typing import Any

import pandas as pd

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.diagnosis import measures
from mmctr_kedro.diagnosis.verdicts import THRESHOLDS, WHOLE, leaks, verdicts

logger = logging.getLogger(__name__)


def diagnose(
    item_content: pd.DataFrame, clicks_train: Clicks, clicks_valid: Clicks, clicks_test: Clicks
) -> dict[str, Any]:
    """Compare the splits by whole-array counts, in seconds at full size, and say what the numbers mean for a model.

    Args:
        item_content: One row per item, ascending: ``item_id`` 1..N, ``likes_level``, ``views_level`` (all 0: unknown).
        clicks_train: Rows with labels.
        clicks_valid: Rows with labels.
        clicks_test: Rows without.

    Returns:
        Plain JSON, what cannot be known None, the same bytes for the same data: ``verdicts`` (``about``, ``alike``,
        ``says``: in words), ``leak`` (by name, whether rows give their label away by it), ``splits``, ``signals`` (AUC
        of things that know nothing of the user), ``drawn``, ``levels``, ``whose_levels``, ``known_answers``, and the
        ``thresholds`` of the verdicts.
    """
    splits, size = {"train": clicks_train, "valid": clicks_valid, "test": clicks_test}, len(item_content) + 1
    found = {
        "splits": measures.describe_splits(item_content, splits),
        "signals": measures.signals(size, clicks_train, clicks_valid),
        "drawn": measures.how_drawn(size, splits),
        "levels": measures.level_click_shares(clicks_train, clicks_valid),
        "whose_levels": measures.whose_levels(item_content, splits),
        "known_answers": measures.known_answers(size, splits),
    }
    found["leak"] = leaks(found)
    said = verdicts(found)
    for verdict in said:
        if verdict["alike"] is not True or verdict["about"] == WHOLE:  # the rest is in the report
            logger.info("data: %s", verdict["says"])
    return {"verdicts": said, **found, "thresholds": THRESHOLDS}
