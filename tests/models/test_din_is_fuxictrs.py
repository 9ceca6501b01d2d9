"""The fixed DIN gives the numbers of a model built from FuxiCTR's own layers on padded input, dropout off.

FuxiCTR attends to 64 padded positions per row, its tables are dense, its penalty is part of the loss.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fuxictr.pytorch import layers as fuxictr
from torch import nn
from torch.nn import functional as F

from mmctr_kedro.models import build_model
from mmctr_kedro.models import din as din_file
from mmctr_kedro.params import CtrParams
from mmctr_kedro.training.steps import Steps, add_penalties, penalties_of

LEVEL = {"type": "categorical", "vocab_size": 11, "padding_idx": 0}
PARAMS = CtrParams(
    model={"name": "din", "net_dropout": 0},
    embedding_regularizer=1e-2,
    net_regularizer=1e-3,
    learning_rate=1e-3,
)
ITEMS, TAGS, ROWS, WIDTH = 40, 30, 24, 64
CLIP = 0.05  # low enough to clip every step here


class Reference(nn.Module):
    """DIN of FuxiCTR 2.3.7's layers, put together as the organisers' page describes it."""

    def __init__(self, item_tags, item_embedding):
        super().__init__()
        item = {
            "item_id": {"type": "categorical", "vocab_size": ITEMS + 1, "padding_idx": 0},
            "item_tags": {
                "type": "sequence",
                "vocab_size": TAGS,
                "padding_idx": 0,
                "feature_encoder": "layers.MaskedAveragePooling()",
            },
            "item_emb_d128": {"type": "embedding", "embedding_dim": 128, "pretrain_dim": 128},
        }
        features = {"likes_level": LEVEL, "views_level": LEVEL, **item}
        self.embedding = fuxictr.FeatureEmbedding(SimpleNamespace(features=features), 64)
        self.attention = fuxictr.DIN_Attention(256, attention_units=[512, 256], hidden_activations="ReLU")
        self.dnn = fuxictr.MLP_Block(640, hidden_units=[1024, 512, 256], output_dim=1, batch_norm=True)
        self.tags = torch.tensor(item_tags)
        self.contents = torch.tensor(item_embedding, dtype=torch.get_default_dtype())

    def item(self, ids):
        flat = ids.reshape(-1)
        inputs = {"item_id": flat, "item_tags": self.tags[flat], "item_emb_d128": self.contents[flat]}
        # FeatureEmbeddingDict casts a given embedding to float32: call its encoder, to stay in float64.
        tables = self.embedding.embedding_layer
        content = tables.feature_encoders["item_emb_d128"](inputs.pop("item_emb_d128"))
        return torch.cat([self.embedding(inputs, flatten_emb=True), content], -1).view(*ids.shape, -1)

    def forward(self, rows):
        target, history = self.item(rows["item"]), self.item(rows["history"])
        pooled = self.attention(target, history, (rows["history"] > 0).to(target.dtype))
        levels = self.embedding({"likes_level": rows["likes"], "views_level": rows["views"]}, flatten_emb=True)
        return self.dnn(torch.cat([levels, target, pooled], -1)).squeeze(-1)

    def penalty(self):
        """As ``BaseModel.regularization_loss`` sums it."""
        tables = {id(parameter) for parameter in self.embedding.embedding_layer.parameters()}
        return sum(
            (PARAMS.embedding_regularizer if id(parameter) in tables else PARAMS.net_regularizer)
            / 2
            * torch.norm(parameter, 2) ** 2
            for parameter in self.parameters()
        )


def pairs(ours, reference):
    """Parameters of both models that are the same one."""
    tables = reference.embedding.embedding_layer
    modules = [
        (ours.items.item, tables.embedding_layers["item_id"]),
        (ours.items.tag, tables.embedding_layers["item_tags"]),
        (ours.items.content, tables.feature_encoders["item_emb_d128"]),
        (ours.likes_level, tables.embedding_layers["likes_level"]),
        (ours.views_level, tables.embedding_layers["views_level"]),
        (ours.attention.first, reference.attention.attention_layer.mlp[0]),
        (ours.attention.second, reference.attention.attention_layer.mlp[2]),
        (ours.attention.last, reference.attention.attention_layer.mlp[4]),
    ]
    plain = [layer for layer in ours.dnn if next(layer.parameters(), None) is not None]
    theirs = [layer for layer in reference.dnn.mlp if next(layer.parameters(), None) is not None]
    modules += zip(plain, theirs, strict=True)
    return [
        (name, mine, other)
        for one, two in modules
        for (name, mine), other in zip(one.named_parameters(), two.parameters(), strict=True)
    ]


def draw(seed):
    """Rows with histories of 0 to 64 items."""
    rng = np.random.default_rng(seed)
    lengths = np.r_[0, 64, rng.integers(1, 12, ROWS - 2)]
    return {
        "item": rng.integers(1, ITEMS + 1, ROWS).tolist(),
        "history": [rng.integers(1, ITEMS + 1, length).tolist() for length in lengths],
        "likes": rng.integers(1, 11, ROWS).tolist(),
        "views": rng.integers(1, 11, ROWS).tolist(),
        "label": (rng.random(ROWS) < 0.4).astype(float).tolist(),
    }


def padded(rows):
    histories = [[0] * (64 - len(history)) + history for history in rows["history"]]
    return {name: torch.tensor(values) for name, values in {**rows, "history": histories}.items()}


@pytest.fixture
def models(monkeypatch):
    monkeypatch.setattr(din_file, "ATTENTION_DROPOUT", 0.0)
    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    tags, embedding = rng.integers(0, TAGS, (ITEMS + 1, 5)), rng.standard_normal((ITEMS + 1, 128))
    tags[0], embedding[0] = 0, 0
    ours, reference = build_model(PARAMS, tags, embedding, TAGS), Reference(tags, embedding)
    with torch.no_grad():  # larger tables and biases than at the start, or errors would drown
        for name, mine, other in pairs(ours, reference):
            mine.add_(0.05 * torch.randn_like(mine))
            if mine.shape[-1] == WIDTH and name == "weight" and mine.shape[0] in (ITEMS + 1, TAGS, 11):
                mine[0] = 0
            other.copy_(mine)
    return ours.train(), reference.train()


def losses(models, seed, make_batch):
    """Logits and loss of both; gradients are left in place."""
    ours, reference = models
    rows = draw(seed)
    label = torch.tensor(rows["label"])
    mine, theirs = ours(make_batch(rows)), reference(padded(rows))
    loss = F.binary_cross_entropy_with_logits(mine, label)
    loss.backward()
    total = loss.item() + add_penalties(penalties_of(ours, PARAMS))
    their_total = F.binary_cross_entropy(theirs.sigmoid(), label) + reference.penalty()
    their_total.backward()
    return mine, theirs, total, their_total.item()


def test_logits_loss_and_gradients_agree_to_1e_9_in_float64(double, models, make_batch):
    mine, theirs, total, their_total = losses(models, 2, make_batch)
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-9)
    assert total == pytest.approx(their_total, abs=1e-9)
    for _, one, two in pairs(*models):
        torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=1e-9)


def test_logits_and_gradients_agree_to_1e_5_of_the_largest_in_float32(models, make_batch):
    mine, theirs, _, _ = losses(models, 2, make_batch)
    assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    largest = max(two.grad.abs().max() for _, _, two in pairs(*models))
    for _, one, two in pairs(*models):
        assert (one.grad - two.grad).abs().max() <= 1e-5 * largest


def test_all_weights_agree_to_1e_6_after_20_clipped_adam_steps_in_float64(double, models, make_batch):
    ours, reference = models
    steps = Steps(ours, PARAMS.model_copy(update={"max_gradient_norm": CLIP}))
    theirs = torch.optim.Adam(reference.parameters(), lr=PARAMS.learning_rate)
    for step in range(20):
        rows = draw(100 + step)
        steps.take([make_batch(rows)])
        theirs.zero_grad()
        label = torch.tensor(rows["label"])
        (F.binary_cross_entropy(reference(padded(rows)).sigmoid(), label) + reference.penalty()).backward()
        assert nn.utils.clip_grad_norm_(reference.parameters(), CLIP) > CLIP
        theirs.step()
    for _, one, two in pairs(ours, reference):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)
