"""The fixed DIN gives the numbers of a model built from FuxiCTR's own layers on padded input, dropout off.

FuxiCTR attends to 64 padded positions per row, its tables are dense, its penalty is part of the loss.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmarks.padded import PaddedRows
from benchmarks.speed.reference import FuxictrDin, penalty
from benchmarks.speed.reference import Reference as Training
from mmctr_kedro.models import build_model
from mmctr_kedro.models import din as din_file
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.training.steps import Steps, add_penalties, penalties_of

PARAMS = CtrParams(
    model={"name": "din", "net_dropout": 0},
    embedding_regularizer=1e-2,
    net_regularizer=1e-3,
    learning_rate=1e-3,
)
ITEMS, TAGS, ROWS, WIDTH = 40, 30, 24, 64
CLIP = 0.05  # low enough to clip every step here


class Reference(FuxictrDin):
    """The model that benchmarks/ times ours against, without dropout."""

    def __init__(self, item_tags, item_embedding):
        super().__init__(ITEMS + 1, TAGS, net_dropout=0, attention_dropout=0)
        self.tags = torch.tensor(item_tags)
        self.contents = torch.tensor(item_embedding, dtype=torch.get_default_dtype())

    def item_vectors(self, rows):
        """FeatureEmbedding casts a given embedding to float32: call its encoder, to stay in float64."""
        content = self.embedding.embedding_layer.feature_encoders["item_emb_d128"](rows.embedding)
        return torch.cat(
            [self.embedding({"item_id": rows.item, "item_tags": rows.tags}, flatten_emb=True), content], -1
        )

    def padded(self, rows):
        items = [
            [0] * (64 - len(past)) + past + [item] for past, item in zip(rows["history"], rows["item"], strict=True)
        ]
        flat = torch.tensor(items).flatten()
        return PaddedRows(
            item=flat,
            tags=self.tags[flat],
            embedding=self.contents[flat],
            likes_level=torch.tensor(rows["likes"]),
            views_level=torch.tensor(rows["views"]),
            real=torch.tensor(items)[:, :64] > 0,
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
    mine, theirs = ours(make_batch(rows)), reference(reference.padded(rows))
    loss = F.binary_cross_entropy_with_logits(mine, label)
    loss.backward()
    total = loss.item() + add_penalties(penalties_of(ours, PARAMS))
    their_total = F.binary_cross_entropy(theirs.sigmoid(), label) + penalty(reference, reference.tables(), PARAMS)
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
    params = PARAMS.model_copy(update={"max_gradient_norm": CLIP})
    steps, theirs = Steps(ours, params), Training(reference, reference.tables(), params)
    for step in range(20):
        rows = draw(100 + step)
        loss = steps.take([make_batch(rows)])
        their_loss = theirs.train_step(reference.padded(rows), torch.tensor(rows["label"]))
        assert loss == pytest.approx(their_loss, abs=1e-6)
        assert torch.nn.utils.get_total_norm([p.grad for p in reference.parameters()]) == pytest.approx(CLIP)  # clipped
    for _, one, two in pairs(ours, reference):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-6)
    norms = [
        [layer for layer in layers if isinstance(layer, torch.nn.BatchNorm1d)]
        for layers in (ours.dnn, reference.dnn.mlp)
    ]
    for one, two in zip(*norms, strict=True):
        torch.testing.assert_close(one.running_mean, two.running_mean, rtol=0, atol=1e-6)
        torch.testing.assert_close(one.running_var, two.running_var, rtol=0, atol=1e-6)
