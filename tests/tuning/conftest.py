"""Random clicks on ten items, and a search over them that takes seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.models.settings import FixedCtrParams
from mmctr_kedro.tuning.search import search
from mmctr_kedro.tuning.settings import TuneParams

ITEMS = 10
PARAMS = FixedCtrParams(batch_size=32, epochs=4, learning_rate=0.003, threads=1, device="cpu")


def rows(count: int, seed: int) -> Clicks:
    """Rows with a history each; items of small number are clicked more often."""
    rng = np.random.default_rng(seed)
    length = rng.integers(0, 4, count)
    item = rng.integers(1, ITEMS + 1, count)
    return Clicks(
        history_user=np.arange(count),
        history_offsets=np.concatenate([[0], np.cumsum(length)]),
        history_items=rng.integers(1, ITEMS + 1, length.sum()),
        history=np.arange(count),
        item=item,
        likes_level=rng.integers(1, 11, count).astype(np.int8),
        views_level=rng.integers(1, 11, count).astype(np.int8),
        row_id=np.arange(count),
        label=(rng.random(count) < 0.6 - item / 20).astype(np.int8),
    )


TAGS = np.pad(np.random.default_rng(5).integers(0, 9, (ITEMS, 5), dtype=np.int32), [(1, 0), (0, 0)])
EMBEDDING = np.pad(np.random.default_rng(6).standard_normal((ITEMS, 8)).astype(np.float32), [(1, 0), (0, 0)])
DATA = (rows(160, 1), rows(80, 2), TAGS, EMBEDDING)


def searching(folder: Path) -> Callable[..., Any]:
    """To search with these settings of ``tune``; each call goes on where the last one was."""

    def run(**tune: Any) -> Any:
        few = {"trials": 6, "finalists": 2, "seeds": 2, "first_cut": 1, "keep": 3}
        return search(PARAMS, TuneParams(**few | tune), f"sqlite:///{folder}/study.db", *DATA)

    return run


@pytest.fixture
def find_settings(tmp_path) -> Callable[..., Any]:
    """A search of its own."""
    return searching(tmp_path)


@pytest.fixture(scope="session")
def found(tmp_path_factory) -> tuple[Any, Any]:
    """What one search found, and its study."""
    return searching(tmp_path_factory.mktemp("tuning"))()
