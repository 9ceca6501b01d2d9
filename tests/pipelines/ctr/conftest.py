"""Random clicks, tags and an embedding of ten items: enough to run the nodes."""

import numpy as np
import pytest

from mmctr_kedro.data.clicks import Clicks

ITEMS = 10


def draw_clicks(rows: int, seed: int) -> Clicks:
    """``rows`` rows with a history each, of 0 to 3 items; every fourth is a click."""
    rng = np.random.default_rng(seed)
    length = rng.integers(0, 4, rows)
    return Clicks(
        history_user=np.arange(1, rows + 1, dtype=np.int32),
        history_offsets=np.concatenate([[0], np.cumsum(length)]),
        history_items=rng.integers(1, ITEMS + 1, length.sum(), dtype=np.int32),
        history=np.arange(rows, dtype=np.int32),
        item=rng.integers(1, ITEMS + 1, rows, dtype=np.int32),
        likes_level=rng.integers(1, 11, rows).astype(np.int8),
        views_level=rng.integers(1, 11, rows).astype(np.int8),
        row_id=np.arange(rows, dtype=np.int64),
        label=(np.arange(rows) % 4 == 0).astype(np.int8),
    )


@pytest.fixture
def clicks():
    return draw_clicks


@pytest.fixture
def item_tags() -> np.ndarray:
    return np.pad(np.random.default_rng(5).integers(0, 9, (ITEMS, 5), dtype=np.int32), [(1, 0), (0, 0)])


@pytest.fixture
def item_embedding() -> np.ndarray:
    table = np.random.default_rng(6).standard_normal((ITEMS, 128)).astype(np.float32)
    return np.pad(table, [(1, 0), (0, 0)])
