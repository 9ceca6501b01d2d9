"""The fixed DIN against a slow one, written row by row from DATASET.md, and its behaviour at the edges."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.models import TrainedModel, build_model, restore_model
from mmctr_kedro.models import din as din_file
from mmctr_kedro.models.settings import CtrParams

LONGEST = 6  # the slow model pads histories to this, on the left


@pytest.fixture
def model(double, item_tags, item_embedding):
    torch.manual_seed(1)
    model = build_model(CtrParams(), item_tags, item_embedding)
    with torch.no_grad():  # away from the tiny initial tables and zero biases, or errors would not show
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for table in (model.items.item, model.items.tag, model.likes_level, model.views_level):
            table.weight[0] = 0
    return model


def slow_item(model, item):
    tags = [model.items.tag.weight[tag] for tag in model.items.tag_table[item].tolist() if tag != 0]
    mean = sum(tags) / len(tags) if tags else torch.zeros(64)
    content = model.items.content.weight @ model.items.content_table[item]
    return torch.cat([model.items.item.weight[item], mean, content])


def slow_logits(model, rows):
    """Every padded position, one at a time, unsplit: concatenate, three linear layers, mask, sum."""
    attention, inputs = model.attention, []
    for item, history, likes, views in zip(rows["item"], rows["history"], rows["likes"], rows["views"], strict=True):
        target, pooled = slow_item(model, item), torch.zeros(256)
        for past in [0] * (LONGEST - len(history)) + history:
            key = slow_item(model, past)
            hidden = torch.cat([target, key, target - key, target * key])
            hidden = F.relu(attention.first.weight @ hidden + attention.first.bias)
            hidden = F.relu(attention.second.weight @ hidden + attention.second.bias)
            score = attention.last.weight[0] @ hidden + attention.last.bias[0]
            pooled = pooled + score * (past != 0) * key
        inputs.append(torch.cat([model.likes_level.weight[likes], model.views_level.weight[views], target, pooled]))
    x = torch.stack(inputs)
    for linear, norm in [(0, 1), (4, 5), (8, 9)]:
        x = x @ model.dnn[linear].weight.T + model.dnn[linear].bias
        norm = model.dnn[norm]
        mean, var = (x.mean(0), x.var(0, correction=0)) if model.training else (norm.running_mean, norm.running_var)
        x = F.relu((x - mean) / (var + 1e-5).sqrt() * norm.weight + norm.bias)
    return (x @ model.dnn[12].weight.T + model.dnn[12].bias)[:, 0]


@pytest.fixture
def without_dropout(model, monkeypatch):
    monkeypatch.setattr(din_file, "ATTENTION_DROPOUT", 0.0)
    for layer in model.dnn:
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    return model


@pytest.mark.parametrize("training", [False, True])
def test_logits_are_those_of_the_slow_padded_model(without_dropout, rows, make_batch, training):
    model = without_dropout.train(training)
    torch.testing.assert_close(model(make_batch(rows)), slow_logits(model, rows), rtol=0, atol=1e-9)


@pytest.mark.parametrize("chunk", [1, 3, 2048])
def test_gradients_are_those_of_the_slow_padded_model(without_dropout, rows, make_batch, chunk, monkeypatch):
    monkeypatch.setattr(din_file, "CHUNK", chunk)
    model = without_dropout.train()
    label = torch.tensor(rows["label"])
    gradients = [
        torch.autograd.grad(F.binary_cross_entropy_with_logits(logits, label), list(model.parameters()))
        for logits in (model(make_batch(rows)), slow_logits(model, rows))
    ]
    for name, ours, slow in zip(dict(model.named_parameters()), *gradients, strict=True):
        torch.testing.assert_close(ours, slow, rtol=1e-8, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}")


def test_a_forward_without_gradients_gives_the_same_numbers(without_dropout, rows, make_batch):
    batch = make_batch(rows)
    with torch.no_grad():
        alone = without_dropout.eval()(batch)
    assert torch.equal(alone, without_dropout(batch).detach())


def test_an_empty_history_pools_to_zeros(model):
    items, target = torch.randn(2, 256), torch.randn(2, 256)
    pooled = model.attention(target, items, torch.tensor([1]), torch.tensor([0, 0, 1]))
    assert torch.equal(pooled[0], torch.zeros(256))
    assert pooled[1].abs().sum() > 0


def test_padding_rows_stay_zero_and_unseen_items_keep_their_initial_row(model, rows, make_batch):
    before = model.items.item.weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    rows = {**rows, "item": [2, 4, 2], "history": [[5, 3, 5], [], [4]]}
    model.train()(make_batch(rows)).sum().backward()
    optimizer.step()
    for table in (model.items.item, model.items.tag, model.likes_level, model.views_level):
        assert not table.weight[0].any()
    assert torch.equal(model.items.item.weight[1], before[1])
    assert torch.isfinite(model.eval()(make_batch({**rows, "item": [1, 1, 1]}))).all()


def test_initial_weights_are_fuxictrs(item_tags, item_embedding):
    torch.manual_seed(3)
    embedding = np.zeros((2_000, 128), np.float32)
    model = build_model(CtrParams(), np.resize(item_tags, (2_000, 5)) * (np.arange(2_000) > 0)[:, None], embedding)
    assert float(model.items.item.weight.detach()[1:].std()) == pytest.approx(1e-4, rel=0.05)
    assert not model.items.item.weight[0].any()
    for layer, std in [(model.attention.first, (2 / 1536) ** 0.5), (model.items.content, (2 / 256) ** 0.5)]:
        assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.05)
    assert not model.attention.first.bias.any()


def test_dropout_drops_at_its_rate_and_keeps_the_mean():
    from mmctr_kedro.models.layers import Dropout

    torch.manual_seed(4)
    dropped = Dropout(0.1).train()(torch.ones(1000, 1000))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.1, abs=0.001)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.001)
    assert float((dropped[0] * dropped[1] == 0).float().mean()) == pytest.approx(0.19, abs=0.04)


def test_dropout_next_to_one_drops_nearly_everything():
    from mmctr_kedro.models.layers import keep_mask

    assert keep_mask(torch.Size([1000]), 0.9999999, torch.device("cpu")).float().mean() < 0.1


def test_attention_dropout_drops_at_its_rate(model):
    """With every hidden unit alive and all weights alike, the score's mean is that without dropout."""
    torch.manual_seed(5)
    with torch.no_grad():
        for layer in (model.attention.first, model.attention.second, model.attention.last):
            layer.weight.zero_()
            layer.bias.zero_()
        model.attention.first.bias.fill_(1.0)
        model.attention.second.weight.fill_(1 / 512)
        model.attention.last.weight.fill_(1 / 256)
    items = torch.ones(1, 256)
    history = torch.zeros(5000, dtype=torch.int64)
    pooled = model.train().attention(items, items, history, torch.tensor([0, 5000]))
    assert pooled[0, 0].item() / 5000 == pytest.approx(1.0, abs=0.002)


def test_the_given_embedding_and_tags_are_not_in_the_weights(model):
    assert not [name for name in model.state_dict() if "table" in name]


def trained(model) -> TrainedModel:
    settings = {"ctr": CtrParams().model_dump(mode="json"), "items": 6, "tags": 6, "embedding_width": 128}
    return TrainedModel(settings, {name: value.numpy() for name, value in model.state_dict().items()})


def test_an_embedding_of_another_width_names_both_widths(model, item_tags, item_embedding):
    with pytest.raises(MmctrError, match=r"embedding width 128, item_embedding has 64"):
        restore_model(trained(model), item_tags, item_embedding[:, :64])


def test_an_embedding_of_other_items_names_both_counts(model, item_tags, item_embedding):
    with pytest.raises(MmctrError, match=r"items 6, item_embedding has 5"):
        restore_model(trained(model), item_tags, item_embedding[:5])


def test_a_tag_the_model_does_not_know_is_named(model, item_tags, item_embedding):
    with pytest.raises(MmctrError, match=r"tags 0..5, item_tags has tag 10"):
        restore_model(trained(model), item_tags * 2, item_embedding)


def test_tables_of_different_lengths_are_refused(item_tags, item_embedding):
    with pytest.raises(MmctrError, match="6 rows, the item embedding has 5"):
        build_model(CtrParams(), item_tags, item_embedding[:5])


def test_an_embedding_that_is_not_finite_names_its_item(item_tags, item_embedding):
    item_embedding[3, 5] = np.nan
    with pytest.raises(MmctrError, match="item 3 is not finite"):
        build_model(CtrParams(), item_tags, item_embedding)


def random_rows(count, items=5):
    rng = np.random.default_rng(3)
    return {
        "item": rng.integers(1, items + 1, count).tolist(),
        "history": [rng.integers(1, items + 1, length).tolist() for length in rng.integers(0, 9, count)],
        "likes": rng.integers(1, 11, count).tolist(),
        "views": rng.integers(1, 11, count).tolist(),
        "label": (rng.random(count) < 0.4).astype(float).tolist(),
    }


@pytest.fixture
def single(item_tags, item_embedding, monkeypatch):
    """A float32 model without dropout, away from its tiny first tables."""
    monkeypatch.setattr(din_file, "ATTENTION_DROPOUT", 0.0)
    torch.manual_seed(6)
    model = build_model(CtrParams(model={"name": "din", "net_dropout": 0}), item_tags, item_embedding).train()
    with torch.no_grad():
        for table in (model.items.item, model.items.tag, model.likes_level, model.views_level):
            table.weight.mul_(1000)
    return model


def logits_and_gradients(model, batch, dtype):
    model.zero_grad()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits = model(batch)
    F.binary_cross_entropy_with_logits(logits.float(), batch.label).backward()
    return logits, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_in_its_type_and_leaves_gradients_in_float32(single, make_batch, dtype):
    batch = make_batch(random_rows(200))
    wanted, exact = logits_and_gradients(single, batch, torch.float32)
    logits, gradients = logits_and_gradients(single, batch, dtype)
    assert logits.dtype == dtype
    assert (logits - wanted).detach().abs().max() < 0.1 * wanted.detach().std()
    assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
    before_norm = {f"dnn.{layer}.bias" for layer in (0, 4, 8)}  # batch norm takes them out: nothing but rounding
    for name in exact.keys() - before_norm:
        assert F.cosine_similarity(gradients[name].ravel(), exact[name].ravel(), 0) > 0.98, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_the_attention_in_its_type(single, make_batch, dtype, monkeypatch):
    seen = set()
    apply = din_file._Pool.apply
    monkeypatch.setattr(
        din_file._Pool,
        "apply",
        lambda *given: seen.update(x.dtype for x in given if torch.is_tensor(x)) or apply(*given),
    )
    with torch.autocast("cpu", dtype):
        single(make_batch(random_rows(20)))
    assert seen == {dtype, torch.int64}


def test_rows_without_any_history_have_gradients_too(single, make_batch):
    rows = random_rows(10) | {"history": [[]] * 10}
    _, gradients = logits_and_gradients(single, make_batch(rows), torch.float32)
    assert not gradients["attention.first.weight"].any()
    assert gradients["items.item.weight"].any()


def test_a_second_backward_is_refused_because_the_first_used_up_the_hidden_layers(single, make_batch):
    logits = single(make_batch(random_rows(10))).sum()
    logits.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logits.backward()
