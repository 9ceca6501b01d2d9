"""The page of a search for settings."""

from __future__ import annotations

from typing import Any

from mmctr_kedro.reports import text
from mmctr_kedro.reports.rendering import page

WORDS = {
    "auc_by_history_length": "clicks in the history",
    "auc_by_popularity_decile": "clicks on the item in train",
}


def write_tuning_report(tuning: dict[str, Any], figures: dict[str, Any], task: str) -> str:
    """The page of what ``tuning.search`` found, as HTML, with its figures by name."""
    by_slice = [
        [
            {words: entry["bucket"], "rows": entry["rows"]}
            | {where: of[name][number]["auc"] for where, of in tuning["slices"].items()}
            for number, entry in enumerate(tuning["slices"]["found"][name])
        ]
        for name, words in WORDS.items()
    ]
    found = tuning["found"]
    title = f"{text.LABELS[task]}: settings found, valid AUC {found['mean']:.4f} over {found['trainings']} seeds"
    return page("tuning", figures, title=title, tuning=tuning, slices=by_slice, task=task)
