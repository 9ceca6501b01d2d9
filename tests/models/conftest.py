"""A hand-sized world for models: five items, three rows, one of them without a history."""

import numpy as np
import pytest
import torch

from mmctr_kedro.data.clicks import Batch

WIDTH = 128


@pytest.fixture
def item_tags() -> np.ndarray:
    return np.array(
        [
            [0, 0, 0, 0, 0],
            [0, 0, 0, 1, 2],
            [0, 0, 0, 0, 3],
            [0, 0, 0, 0, 0],
            [1, 2, 3, 4, 5],
            [0, 0, 5, 1, 3],
        ],
        dtype=np.int32,
    )


@pytest.fixture
def item_embedding() -> np.ndarray:
    table = np.random.default_rng(7).standard_normal((6, WIDTH)).astype(np.float32)
    table[0] = 0
    return table


@pytest.fixture
def rows() -> dict[str, list]:
    """Targets, histories (oldest first) and levels of three rows; item 5 stands twice in one history."""
    return {
        "item": [2, 4, 1],
        "history": [[1, 5, 3, 5], [], [4]],
        "likes": [1, 10, 3],
        "views": [7, 2, 5],
        "label": [1.0, 0.0, 0.0],
    }


def batch_of(rows: dict[str, list]) -> Batch:
    """The rows as a ``Batch``, put together by plain loops."""
    items = sorted({*rows["item"], *(item for history in rows["history"] for item in history)})
    place = {item: index for index, item in enumerate(items)}
    lengths = [len(history) for history in rows["history"]]
    return Batch(
        items=torch.tensor(items),
        target=torch.tensor([place[item] for item in rows["item"]]),
        history=torch.tensor([place[item] for history in rows["history"] for item in history], dtype=torch.int64),
        offsets=torch.tensor([sum(lengths[:row]) for row in range(len(lengths) + 1)]),
        likes_level=torch.tensor(rows["likes"]),
        views_level=torch.tensor(rows["views"]),
        label=torch.tensor(rows["label"], dtype=torch.get_default_dtype()),
    )


@pytest.fixture
def make_batch():
    return batch_of


@pytest.fixture
def double():
    """float64 for the length of a test."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
