"""Items and rows in words, so that a reader can judge whether they make sense."""

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
    title, tags = titles(item_content), item_content.set_index("item_id")["tag_words"]
    label = np.asarray(clicks.label)

    def in_words(rows: np.ndarray, order: np.ndarray) -> list[dict[str, Any]]:
        found = []
        for row in rows[np.argsort(order[rows], kind="stable")][:ROWS].tolist():
            start, end = clicks.history_offsets[clicks.history[row] :][:2]
            found.append(
                {
                    "row_id": int(clicks.row_id[row]),
                    "prediction": round(float(score[row]), 4),
                    "item": title[clicks.item[row]],
                    "tags": ", ".join(tags[clicks.item[row]]),
                    "clicked_before": title[clicks.history_items[max(start, end - HISTORY) : end][::-1]].tolist(),
                }
            )
        return found

    return {
        "missed_clicks": in_words(np.flatnonzero(label == 1), score),
        "false_hopes": in_words(np.flatnonzero(label == 0), -score),
    }


def titles(item_content: pd.DataFrame) -> pd.Series:
    """The title of every item on one line, or the item's number where there is none; by item id."""
    title = item_content.set_index("item_id")["title"].fillna("").str.split().str.join(" ")
    return title.where(title != "", "item " + title.index.astype(str))
