"""Small splits of clicks in which content decides: users click items of their own parity."""

import numpy as np
import pytest

from mmctr_kedro.batch import Clicks

ITEMS = 20


def draw_clicks(rows: int, seed: int) -> Clicks:
    """``rows`` rows, four to a history, one of them a click; users click items of one parity."""
    rng = np.random.default_rng(seed)
    histories = rows // 4
    parity = rng.integers(0, 2, histories)
    length = rng.integers(0, 6, histories)
    label = np.tile([1, 0, 0, 0], histories)
    return Clicks(
        history_user=np.arange(1, histories + 1, dtype=np.int32),
        history_offsets=np.concatenate([[0], np.cumsum(length)]),
        history_items=_items(rng, np.repeat(parity, length)),
        history=np.repeat(np.arange(histories, dtype=np.int32), 4),
        item=_items(rng, np.repeat(parity, 4) ^ (label == 0)),
        likes_level=rng.integers(1, 11, rows).astype(np.int8),
        views_level=rng.integers(1, 11, rows).astype(np.int8),
        row_id=np.arange(rows, dtype=np.int64),
        label=label.astype(np.int8),
    )


def _items(rng: np.random.Generator, parity: np.ndarray) -> np.ndarray:
    return (2 * rng.integers(0, ITEMS // 2, len(parity)) + 2 - parity).astype(np.int32)


@pytest.fixture
def clicks():
    return draw_clicks


@pytest.fixture
def item_tags() -> np.ndarray:
    tags = np.random.default_rng(5).integers(0, 9, (ITEMS + 1, 5)).astype(np.int32)
    tags[0] = 0
    return tags


@pytest.fixture
def item_embedding() -> np.ndarray:
    """Random, but its first number tells odd items from even ones."""
    table = np.random.default_rng(6).standard_normal((ITEMS + 1, 128)).astype(np.float32)
    table[1::2, 0] += 3
    table[0] = 0
    return table
