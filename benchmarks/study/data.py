"""What the study's data sets hold, and the test labels that only scoring may see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import files
from benchmarks.study.files import SPLITS
from benchmarks.study.plan import DataChoice
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks, own_levels
from mmctr_kedro.data.settings import InteractionLogParams
from mmctr_kedro.datasets.arrays import ClicksDataset, load_array
from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.training.trained_model import with_own_levels
from mmctr_kedro.worlds.settings import WorldParams


@dataclass(frozen=True)
class Tables:
    """What a training is given, read-only, and the test rows it never sees."""

    train: Clicks
    valid: Clicks
    test: Clicks  # without labels
    item_tags: np.ndarray  # [N+1, 5] int32
    item_embedding: np.ndarray  # [N+1, 128] float32


def load(root: Path, embedding: str, kind: str = "model") -> Tables:
    """The data below ``root``, with the embedding in that file of it; ``leak_free``: rows with their items' levels."""
    train, valid, test = (_clicks(root, split) for split in SPLITS)
    if kind == "leak_free":
        own = own_levels(pd.read_parquet(root / "03_primary/item_content.parquet"), train)
        train, valid, test = (with_own_levels(clicks, own) for clicks in (train, valid, test))
    return Tables(train, valid, test, load_array(root / "03_primary/item_tags.npy"), load_array(root / embedding))


def _clicks(root: Path, split: str) -> Clicks:
    return ClicksDataset(filepath=str(root / "03_primary" / f"clicks_{split}")).load()


def describe(choice: DataChoice, root: Path) -> dict[str, Any]:
    """Counts of a data set and, where truth is known, the best valid AUC that any model can reach."""
    tables = load(root, choice.embeddings[choice.embedding])
    assert tables.valid.label is not None
    return {
        "title": choice.title,
        "embedding": choice.embedding,
        "rows": {split: len(getattr(tables, split)) for split in SPLITS},
        "users": {split: len(np.unique(getattr(tables, split).user)) for split in SPLITS},
        "items": len(tables.item_embedding) - 1,
        "best_valid_auc": best_auc(root, "valid", tables.valid.label),
        "ceilings": ceilings(root, "valid", tables.valid.label),
    }


def ceilings(root: Path, split: str, label: np.ndarray) -> dict[str, float] | None:
    """AUC of each of the world's posteriors on these rows; None where nobody knows them."""
    truth = pd.read_parquet(root / "02_intermediate/truth.parquet")
    truth = truth[truth["split"] == split].sort_values("row_id")
    if len(truth) != len(label):
        return None
    return {name: auc(label, truth[name].to_numpy()) for name in truth.filter(like="posterior")}


def best_auc(root: Path, split: str, label: np.ndarray) -> float | None:
    """AUC of the world's own posterior on these rows; None where nobody knows it."""
    found = ceilings(root, split, label)
    return None if found is None else found["posterior"]


# --- scoring alone ---------------------------------------------------------------------------------------


def hidden_labels(choice: DataChoice, root: Path, split: str = "test") -> np.ndarray:
    """Labels of the rows of ``split``, ``[R]`` int8, from the source of the data and not from its files.

    A world draws the same rows again from its seed; a log is asked which user clicked which item. Called by scoring
    alone, after all choices are frozen.
    """
    clicks, challenge = _clicks(root, split), root / "01_raw" / "challenge"
    if (world := challenge / "world.json").is_file():
        from mmctr_kedro.worlds.world import hidden_rows

        rows = hidden_rows(WorldParams(**json.loads(world.read_text())["params"]), split)
        if not np.array_equal(rows["item_id"], clicks.item):
            raise MmctrError(f"{root} holds other {split} rows than {world} describes. Make its data again.")
        return rows["label"].to_numpy(np.int8)
    return _labels_of_log(choice, challenge, clicks)


def _labels_of_log(choice: DataChoice, challenge: Path, clicks: Clicks) -> np.ndarray:
    """An item of a row is a click if its user clicks it anywhere: negatives are never such items."""
    import duckdb

    from mmctr_kedro.data.importing.log_files import arrays, read_log

    params = InteractionLogParams(**json.loads((challenge / "import_log.json").read_text())["params"])
    folder = files.log_folder(choice)
    assert folder is not None
    database = duckdb.connect()
    _, items = read_log(RawFolder(folder).path, params, database)
    width = len(items.ids) + 1
    pairs = arrays(database, f"select distinct user::bigint * {width} + item as pair from log where click")["pair"]
    return np.isin(clicks.user.astype(np.int64) * width + clicks.item, pairs).astype(np.int8)
