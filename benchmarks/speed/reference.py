"""The organisers' DIN, put together from FuxiCTR 2.3.7's own layers and fed the way they feed it.

What the fixed DIN is tested against (tests/models/test_din_is_fuxictrs.py) and timed beside. A row of the
loader is one numpy row; a batch is put together by pandas: ``iloc`` of the item table at all 65 positions of
all rows, padding included, then ``to_list`` per column.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
from fuxictr.pytorch import layers
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, default_collate

from benchmarks.padded import PaddedRows
from mmctr_kedro.data.challenge import EMBEDDING_WIDTH, HISTORY_WIDTH
from mmctr_kedro.models.settings import CtrParams

WIDTH = 64
LEVEL = {"type": "categorical", "vocab_size": 11, "padding_idx": 0}


class FuxictrDin(nn.Module):
    """Logits ``[B]`` of ``PaddedRows``."""

    def __init__(self, items: int, tags: int, net_dropout: float, attention_dropout: float = 0.1) -> None:
        """``items`` and ``tags`` are table sizes, padding included."""
        super().__init__()
        item = {
            "item_id": {"type": "categorical", "vocab_size": items, "padding_idx": 0},
            "item_tags": {
                "type": "sequence",
                "vocab_size": tags,
                "padding_idx": 0,
                "feature_encoder": "layers.MaskedAveragePooling()",
            },
            "item_emb_d128": {
                "type": "embedding",
                "embedding_dim": EMBEDDING_WIDTH,
                "pretrain_dim": EMBEDDING_WIDTH,
            },
        }
        features = {"likes_level": LEVEL, "views_level": LEVEL, **item}
        width = 2 * WIDTH + EMBEDDING_WIDTH
        self.embedding = layers.FeatureEmbedding(SimpleNamespace(features=features), WIDTH)
        self.attention = layers.DIN_Attention(
            width, attention_units=[512, 256], hidden_activations="ReLU", dropout_rate=attention_dropout
        )
        self.dnn = layers.MLP_Block(
            2 * WIDTH + 2 * width,
            hidden_units=[1024, 512, 256],
            output_dim=1,
            batch_norm=True,
            dropout_rates=net_dropout,
        )

    def item_vectors(self, rows: PaddedRows) -> Tensor:
        fed = {"item_id": rows.item, "item_tags": rows.tags, "item_emb_d128": rows.embedding}
        return self.embedding(fed, flatten_emb=True)

    def forward(self, rows: PaddedRows) -> Tensor:
        items = self.item_vectors(rows).view(len(rows), HISTORY_WIDTH + 1, -1)
        target, history = items[:, -1], items[:, :-1]
        pooled = self.attention(target, history, rows.real.to(target.dtype))
        levels = {"likes_level": rows.likes_level, "views_level": rows.views_level}
        return self.dnn(torch.cat([self.embedding(levels, flatten_emb=True), target, pooled], -1)).squeeze(-1)

    def tables(self) -> list[nn.Parameter]:
        """What ``embedding_regularizer`` covers."""
        return list(self.embedding.embedding_layer.parameters())


def penalty(model: nn.Module, tables: list[nn.Parameter], params: CtrParams) -> Tensor | float:
    """L2 as ``BaseModel.regularization_loss`` sums it: over whole tables, in the loss; 0 where both weights are."""
    if not (params.embedding_regularizer or params.net_regularizer):
        return 0.0
    inside = {id(parameter) for parameter in tables}
    return sum(
        (params.embedding_regularizer if id(parameter) in inside else params.net_regularizer)
        / 2
        * torch.norm(parameter, 2) ** 2
        for parameter in model.parameters()
    )


class Reference:
    """A padded model and its training, step by step as FuxiCTR's ``BaseModel`` does it."""

    def __init__(self, model: nn.Module, tables: list[nn.Parameter], params: CtrParams) -> None:
        self.model, self.tables, self.params = model, tables, params
        self.device = tables[0].device
        self.optimizer = torch.optim.Adam(model.parameters(), lr=params.learning_rate)

    def train_step(self, rows: PaddedRows, label: Tensor) -> float:
        self.optimizer.zero_grad()
        loss = F.binary_cross_entropy(self.model(rows).sigmoid(), label) + penalty(self.model, self.tables, self.params)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.params.max_gradient_norm)
        self.optimizer.step()
        return loss.item()

    def train(self, loader: DataLoader) -> Iterator[int]:
        """Rows of every step, after it is done."""
        self.model.train()
        for rows, label in loader:
            self.train_step(rows.to(self.device), label.to(self.device))
            yield len(rows)

    def predict(self, loader: DataLoader) -> Iterator[int]:
        """Rows of every batch, after it is predicted."""
        self.model.eval()
        with torch.no_grad():
            for rows, _ in loader:
                self.model(rows.to(self.device)).sigmoid().cpu().numpy()
                yield len(rows)


class Rows(Dataset):
    """A split's parquet file as one int64 array, a row at a time."""

    def __init__(self, path: Path) -> None:
        table = pd.read_parquet(path)
        columns = [np.array(table[name].to_list()) for name in table.columns]
        widths = np.cumsum([0, *(column.shape[1] if column.ndim == 2 else 1 for column in columns)])
        self.place = {name: slice(*widths[at : at + 2]) for at, name in enumerate(table.columns)}
        self.array = np.column_stack(columns)

    def __getitem__(self, row: int) -> np.ndarray:
        return self.array[row]

    def __len__(self) -> int:
        return len(self.array)


class Collator:
    """Rows to ``PaddedRows`` and labels, through pandas."""

    def __init__(self, item_info: Path, place: dict[str, slice]) -> None:
        self.items, self.place = pd.read_parquet(item_info), place

    def __call__(self, rows: list[np.ndarray]) -> tuple[PaddedRows, Tensor]:
        batch = default_collate(rows)
        history, target = batch[:, self.place["item_seq"]], batch[:, self.place["item_id"]]
        items = self.items.iloc[np.hstack([history.numpy(), target.numpy()]).flatten()]
        columns = {name: torch.from_numpy(np.array(items[name].to_list())) for name in items.columns}
        label = batch[:, self.place["label"]].flatten().to(torch.get_default_dtype())
        fed = PaddedRows(
            item=columns["item_id"],
            tags=columns["item_tags"],
            embedding=columns["item_emb_d128"].to(label.dtype),
            likes_level=batch[:, self.place["likes_level"]].flatten(),
            views_level=batch[:, self.place["views_level"]].flatten(),
            real=history > 0,
        )
        return fed, label


def loaders(split: Path, item_info: Path, batch_size: int, workers: int) -> tuple[DataLoader, DataLoader]:
    """Batches of a split in random order, and in the file's order."""
    rows = Rows(split)
    collate = Collator(item_info, rows.place)
    given = {"dataset": rows, "batch_size": batch_size, "num_workers": workers, "collate_fn": collate}
    return DataLoader(shuffle=True, **given), DataLoader(shuffle=False, **given)
