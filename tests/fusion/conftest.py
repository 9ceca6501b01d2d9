"""Items of two kinds, told apart by text and image, and users who click one kind alone."""

import numpy as np
import pytest

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.fusion import ItemInputs

ITEMS, TEXT, IMAGE = 60, 12, 20


def clicks_of(histories: list[list[int]], rows: list[tuple[int, int, int]]) -> Clicks:
    """Histories by user (1, 2, ...), and rows of history, item, label."""
    history, item, label = np.array(rows or np.empty((0, 3)), dtype=np.int64).T
    return Clicks(
        history_user=np.arange(1, len(histories) + 1, dtype=np.int32),
        history_offsets=np.cumsum([0, *map(len, histories)]),
        history_items=np.array([item for items in histories for item in items], dtype=np.int32),
        history=history.astype(np.int32),
        item=item.astype(np.int32),
        likes_level=np.ones(len(rows), np.int8),
        views_level=np.ones(len(rows), np.int8),
        row_id=np.arange(len(rows)),
        label=label.astype(np.int8),
    )


@pytest.fixture
def clicks():
    return clicks_of


@pytest.fixture(scope="session")
def inputs() -> ItemInputs:
    rng = np.random.default_rng(1)
    kind = np.arange(ITEMS) % 2
    text, image = (
        (2.0 * kind[:, None] * rng.standard_normal(width) + 3 * rng.standard_normal((ITEMS, width))).astype(np.float32)
        for width in (TEXT, IMAGE)
    )
    users = 120
    histories = [(2 * rng.integers(0, ITEMS // 2, 8) + 1 + user % 2).tolist() for user in range(users)]
    rows = [(user, int(2 * rng.integers(0, ITEMS // 2) + 1 + user % 2), 1) for user in range(users)]
    provided = rng.standard_normal((ITEMS, 128)).astype(np.float32)
    train = clicks_of(histories, rows)
    for array in (text, image, provided, *vars(train).values()):
        array.flags.writeable = False  # as the catalog hands them out
    return ItemInputs(text, image, provided, train)
