"""What the data holds, and what in it is odd but no error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.clicks import Clicks

QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}


def report(content: pd.DataFrame, splits: dict[str, Clicks], item_seq: dict[str, Any] | None) -> dict[str, Any]:
    """Everything ``data_report`` says, as JSON."""
    trained = np.unique(splits["train"].item)
    levels = content[["likes_level", "views_level"]].to_numpy()
    tags = content["tags"].str.len()
    items = {
        "items": len(content),
        "without_title": int((content["title"].str.strip() == "").sum()),
        "without_tags": int((tags == 0).sum()),
        "most_tags": int(tags.max()),
        "tags_without_word": int((tags - content["tag_words"].str.len()).sum()),
        "likes_level": _range(levels[:, 0]),
        "views_level": _range(levels[:, 1]),
    }
    return {
        "items": items,
        **{name: _split(clicks, levels, trained) for name, clicks in splits.items()},
        "item_seq": item_seq,
    }


def _split(clicks: Clicks, levels: np.ndarray, trained: np.ndarray) -> dict[str, Any]:
    own = levels[clicks.item - 1]
    differing = (clicks.likes_level != own[:, 0]) | (clicks.views_level != own[:, 1])
    lengths = np.diff(clicks.history_offsets)
    return {
        "rows": len(clicks),
        "users": len(np.unique(clicks.history_user)),
        "histories": len(clicks.history_user),
        "history_length": {
            **{name: float(np.quantile(lengths, share)) for name, share in QUANTILES.items()},
            "mean": round(float(lengths.mean()), 4),
        },
        "empty_histories": int((lengths == 0).sum()),
        "rows_with_empty_history": int((lengths[clicks.history] == 0).sum()),
        "items": len(np.unique(clicks.item)),
        "share_of_rows_with_item_not_in_train": round(float((~np.isin(clicks.item, trained)).mean()), 6),
        "rows_with_levels_unlike_their_item": int(differing.sum()),
        "likes_level": _range(clicks.likes_level),
        "views_level": _range(clicks.views_level),
        "click_share": None if clicks.label is None else round(float(clicks.label.mean()), 6),
        "row_id_gaps": int(clicks.row_id[-1] + 1 - len(clicks)),
    }


def _range(values: np.ndarray) -> list[int]:
    return [int(values.min()), int(values.max())]
