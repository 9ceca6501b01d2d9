"""A log folder of a few lines, imported in one call."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmctr_kedro.data.challenge import PATHS, RawFolder, unknown_truth
from mmctr_kedro.data.settings import InteractionLogParams
from mmctr_kedro.pipelines.import_log.nodes import import_log

# User 5 clicks 10, 20, ... 80 at times 1..8; user 9 clicks 80, 70, 60, 50, 40 at times 11..15.
LOG = "user,item,timestamp\n" + "".join(
    [*(f"5,{10 * n},{n}\n" for n in range(1, 9)), *(f"9,{90 - 10 * n},{10 + n}\n" for n in range(1, 6))]
)
ITEMS = "item,title,tags\n" + "".join(f"{10 * n},Title {n},a|b\n" for n in range(1, 13))


class Imported:
    """The files of an import, as lists of Python values."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> list[dict]:
        return pq.read_table(self.path / PATHS.get(name, f"{name}.parquet")).to_pylist()

    def source(self, kind: str) -> dict:
        return {row[f"{kind}_id"]: row[f"source_{kind}_id"] for row in self.file(f"{kind}_ids")}

    def rows(self, split: str) -> list[tuple]:
        """Every row as (source user, source items of the history, source item, label)."""
        users, items = self.source("user"), self.source("item")
        return [
            (
                users[row["user_id"]],
                [items[item] for item in row["item_seq"] if item],
                items[row["item_id"]],
                row.get("label"),
            )
            for row in self.file(split)
        ]

    def clicks(self, split: str) -> list[tuple]:
        """(source user, history, item) of the clicks of train or valid."""
        return [row[:3] for row in self.rows(split) if row[3] == 1]

    def histories(self, split: str) -> dict:
        """The distinct histories of each source user."""
        found: dict = {}
        for user, history, _, _ in self.rows(split):
            if history not in found.setdefault(user, []):
                found[user].append(history)
        return found


@pytest.fixture
def imported(tmp_path):
    """Write a log and its items as files, import them and hand back the result."""

    def run(
        rows: str | bytes = LOG, items: str | bytes = ITEMS, item_table: dict | None = None, **params: object
    ) -> Imported:
        source = tmp_path / "log"
        source.mkdir(exist_ok=True)
        few = {"train_negatives_per_click": 1, "eval_negatives_per_click": 1, "items": item_table or {}}
        settings = InteractionLogParams(**{**few, **params})
        for table, content in ((settings.log, rows), (settings.items, items)):
            (source / table.file).write_bytes(content.encode() if isinstance(content, str) else content)
        truth = import_log(settings, RawFolder(source), RawFolder(tmp_path / "out"))
        assert len(truth) == 0
        assert truth.dtypes.equals(unknown_truth().dtypes)
        return Imported(tmp_path / "out")

    return run


@pytest.fixture
def rng():
    return np.random.default_rng(0)
