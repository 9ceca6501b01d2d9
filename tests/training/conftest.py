"""Small splits of clicks in which content decides (users click items of their own parity), and small models."""

import numpy as np
import pytest
import torch
from torch import nn

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.models.layers import CtrModel, sum_by_row
from mmctr_kedro.models.settings import MODEL_PARAMS

ITEMS = 20
SMALL = {  # a registered model without an entry here is built as it comes
    "transformer_dcn": {"width": 8, "feed_forward": 16, "last": 4, "dnn_units": (32, 16), "head_units": (32, 16)},
    "qin": {"width": 8, "layers": 2, "rows": 2},
}


def small_model(name: str, **settings) -> dict:
    """Settings of a registered model, as small as it can be set."""
    return {"name": name, **SMALL.get(name, {}), **settings}


def without_dropout(name: str) -> dict:
    return {key: 0.0 for key in MODEL_PARAMS[name].model_fields if key.endswith("dropout")}


class Tiny(CtrModel):
    """A model without dropout or batch norm: the target's vector times, and linear beside, the sum over the history."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.item = nn.Embedding(ITEMS + 1, 4, padding_idx=0)
        self.likes_level = nn.Embedding(11, 1)
        self.out = nn.Linear(8, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
            self.item.weight[0] = 0
            self.out.weight *= scale

    def forward(self, batch):
        items = self.item(batch.items)
        pooled = sum_by_row(items, batch.history, batch.offsets)
        target = items[batch.target]
        linear = self.out(torch.cat([target, pooled], dim=1)).squeeze(-1)
        return linear + (target * pooled).sum(dim=1) + self.likes_level(batch.likes_level).squeeze(-1)

    def embedding_parameters(self):
        return [self.item.weight, self.likes_level.weight]


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
def tiny():
    return Tiny


@pytest.fixture
def small():
    return small_model


@pytest.fixture
def no_dropout():
    return without_dropout


@pytest.fixture
def item_tags() -> np.ndarray:
    return draw_tags()


@pytest.fixture
def item_embedding() -> np.ndarray:
    return draw_embedding()


def draw_tags() -> np.ndarray:
    tags = np.random.default_rng(5).integers(0, 9, (ITEMS + 1, 5)).astype(np.int32)
    tags[0] = 0
    return tags


def draw_embedding() -> np.ndarray:
    """Random, but its first number tells odd items from even ones."""
    table = np.random.default_rng(6).standard_normal((ITEMS + 1, 16)).astype(np.float32)
    table[1::2, 0] += 3
    table[0] = 0
    return table
