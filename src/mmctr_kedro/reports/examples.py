"""Valid rows the model got most wrong, in words, so that a reader can judge whether they make sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.clicks import Clicks

ROWS = 6
HISTORY = 3


def worst_rows(score: np.ndarray, clicks: Clicks, item_content: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The ``ROWS`` clicks with the lowest and the others with the highest scores; equals in row order.

    Args:
        score: ``[R]`` predictions of the rows of ``clicks``.
        clicks: Rows with labels.
        item_content: One row per item: ``item_id``, ``title``, ``tag_words``.

    Returns:
        ``missed_clicks`` and ``false_hopes``: per row ``row_id``, ``prediction``, ``item``, ``tags`` and
        ``clicked_before``, the newest titles of the history, newest first.
    """
    content = item_content.set_index("item_id")
    label = np.asarray(clicks.label)
    missed = np.flatnonzero(label == 1)
    hoped = np.flatnonzero(label == 0)
    missed = missed[np.argsort(score[missed], kind="stable")][:ROWS]
    hoped = hoped[np.argsort(-score[hoped], kind="stable")][:ROWS]
    return {
        "missed_clicks": [_in_words(row, score, clicks, content) for row in missed.tolist()],
        "false_hopes": [_in_words(row, score, clicks, content) for row in hoped.tolist()],
    }


def _in_words(row: int, score: np.ndarray, clicks: Clicks, content: pd.DataFrame) -> dict[str, Any]:
    start, end = clicks.history_offsets[clicks.history[row] :][:2]
    newest = clicks.history_items[max(start, end - HISTORY) : end][::-1]
    item = int(clicks.item[row])
    return {
        "row_id": int(clicks.row_id[row]),
        "prediction": round(float(score[row]), 4),
        "item": _title(content, item),
        "tags": ", ".join(content["tag_words"].get(item, [])),
        "clicked_before": [_title(content, int(clicked)) for clicked in newest],
    }


def _title(content: pd.DataFrame, item: int) -> str:
    """The title, or the item's number where there is none."""
    return str(content["title"].get(item, "")).strip() or f"item {item}"
