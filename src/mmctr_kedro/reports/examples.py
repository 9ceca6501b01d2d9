"""Some rows as the model saw them, in words, so that a reader can judge whether its reasons make sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.reports.items import cut, titles

ROWS = 3  # of each kind
HISTORY = 5
TAGS = 5

Row = dict[str, Any]


def choose_rows(score: np.ndarray, clicks: Clicks) -> dict[str, np.ndarray]:
    """Row numbers by what makes them worth a look, ``ROWS`` of each kind at most, the most telling first.

    ``missed_clicks`` have the lowest scores of the clicks and ``false_hopes`` the highest of the others: there the
    model was most wrong. Of ``found_clicks`` and ``passed_over`` it was rightly surest. No two of a kind show one
    item; equals come in row order.

    Args:
        score: ``[R]`` predictions of the rows of ``clicks``, which have labels.
    """
    label = np.asarray(clicks.label)

    def first(chosen: np.ndarray, order: np.ndarray) -> np.ndarray:
        rows = np.flatnonzero(chosen)
        rows = rows[np.argsort(order[rows], kind="stable")]
        _, of_item = np.unique(clicks.item[rows], return_index=True)
        return rows[np.sort(of_item)][:ROWS]

    return {
        "missed_clicks": first(label == 1, score),
        "false_hopes": first(label == 0, -score),
        "found_clicks": first(label == 1, -score),
        "passed_over": first(label == 0, score),
    }


def in_words(
    kinds: dict[str, np.ndarray],
    score: np.ndarray,
    pieces: dict[str, np.ndarray],
    clicks: Clicks,
    item_content: pd.DataFrame,
) -> dict[str, list[Row]]:
    """The rows of each kind as JSON.

    Args:
        kinds: Row numbers, as ``choose_rows`` gives them.
        score: ``[R]``.
        pieces: Log-odds by piece, of the rows of all kinds one after the other; empty for a model that is no sum.
        clicks, item_content: As for ``choose_rows``; one row per item: ``item_id``, ``title``, ``tag_words``,
            ``likes_level``, ``views_level``.

    Returns:
        Per row ``row_id``, ``prediction``, ``item``, ``levels`` (likes and views that it carries), ``own_levels`` (of
        its item; 0: unknown), ``pieces``, and ``clicked_before``, the newest clicks, newest first. Of an item
        ``item_id``, ``title`` and ``tags``.
    """
    title, of_item = titles(item_content), item_content.set_index("item_id").to_dict("index")
    starts = np.cumsum([0, *map(len, kinds.values())])  # of each kind in ``pieces``

    def about(item: int) -> Row:
        tags = [cut(str(tag)) for tag in of_item[item]["tag_words"][:TAGS]]
        return {"item_id": item, "title": cut(title[item]), "tags": tags}

    def about_row(place: int, row: int) -> Row:
        start, end = clicks.history_offsets[clicks.history[row] :][:2]
        item = int(clicks.item[row])
        return {
            "row_id": int(clicks.row_id[row]),
            "prediction": float(f"{score[row]:.4g}"),
            "item": about(item),
            "levels": [int(clicks.likes_level[row]), int(clicks.views_level[row])],
            "own_levels": [int(of_item[item][name]) for name in ("likes_level", "views_level")],
            "pieces": {name: round(float(said[place]), 3) for name, said in pieces.items()},
            "clicked_before": [
                about(clicked) for clicked in clicks.history_items[max(start, end - HISTORY) : end][::-1].tolist()
            ],
        }

    return {
        kind: [about_row(place, row) for place, row in enumerate(rows.tolist(), start)]
        for (kind, rows), start in zip(kinds.items(), starts, strict=False)
    }


def items_of(kinds: dict[str, list[Row]]) -> np.ndarray:
    """Ids of all items that these rows show, ascending."""
    rows = [row for of_kind in kinds.values() for row in of_kind]
    return np.unique([item["item_id"] for row in rows for item in (row["item"], *row["clicked_before"])]).astype(int)
