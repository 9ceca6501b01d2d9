"""Small hand-made inputs of the reporting tests."""

import numpy as np
import pytest

from mmctr_kedro.data.clicks import Clicks


@pytest.fixture
def clicks():
    """Make ``Clicks`` from target items, labels and history lengths; each row has its own history."""

    def make(item, label=None, length=None) -> Clicks:
        rows = len(item)
        length = np.full(rows, 3) if length is None else np.asarray(length)
        return Clicks(
            history_user=np.arange(1, rows + 1, dtype=np.int32),
            history_offsets=np.concatenate([[0], np.cumsum(length)]),
            history_items=np.ones(length.sum(), np.int32),
            history=np.arange(rows, dtype=np.int32),
            item=np.asarray(item, np.int32),
            likes_level=np.zeros(rows, np.int8),
            views_level=np.zeros(rows, np.int8),
            row_id=np.arange(rows),
            label=None if label is None else np.asarray(label, np.int8),
        )

    return make
