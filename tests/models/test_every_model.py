"""What every registered model keeps to, whatever it computes."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mmctr_kedro.models import TrainedModel, build_model, restore_model
from mmctr_kedro.models.settings import MODEL_PARAMS, CtrParams

ITEMS, TAGS, CONTENT = 40, 12, 16
SMALL = {  # a registered model without an entry here is built as it comes
    "transformer_dcn": {"width": 8, "feed_forward": 16, "last": 4, "dnn_units": (32, 16), "head_units": (32, 16)},
    "qin": {"width": 8, "layers": 2, "rows": 2},
    "evidence": {"record": "counted", "popularity": True, "co_clicks": True},
}
LENGTHS = [3, 0, 1, 64, 5, 2, 5, 17, 4, 0, 7, 12]
UNSEEN = ITEMS  # no row of ``rows_of`` has this item


@pytest.fixture(params=MODEL_PARAMS)
def name(request):
    return request.param


@pytest.fixture
def tables():
    random = np.random.default_rng(5)
    tags = np.where(random.random((ITEMS + 1, 5)) < 0.5, 0, random.integers(1, TAGS, (ITEMS + 1, 5)))
    embedding = random.standard_normal((ITEMS + 1, CONTENT))
    tags[0], embedding[0] = 0, 0
    return tags.astype(np.int32), embedding.astype(np.float32)


def test_its_settings_say_what_it_is_and_where_that_stands(name):
    assert any(source in MODEL_PARAMS[name].about for source in ("arXiv:", "docs/"))


def params_of(name, **settings):
    return CtrParams(model={"name": name, **SMALL.get(name, {}), **settings})


def model_of(name, tables, **settings):
    """Away from its tiny initial tables, or most of a model would not show; the padding rows stay zero."""
    torch.manual_seed(2)
    model = build_model(params_of(name, **settings), *tables)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding | torch.nn.EmbeddingBag):
                module.weight[1:] += 0.3 * torch.randn_like(module.weight[1:])
    return model


def rows_of(lengths, seed=3):
    random = np.random.default_rng(seed)
    rows = len(lengths)
    return {
        "item": random.integers(1, ITEMS, rows).tolist(),
        "history": [random.integers(1, ITEMS, length).tolist() for length in lengths],
        "likes": random.integers(1, 11, rows).tolist(),
        "views": random.integers(1, 11, rows).tolist(),
        "label": (np.arange(rows) % 4 == 0).astype(float).tolist(),
    }


def taken(rows, order):
    return {key: [values[row] for row in order] for key, values in rows.items()}


def answers(model, batch):
    with torch.no_grad():
        return model.eval()(batch)


def test_a_row_is_answered_the_same_in_any_company(double, name, tables, make_batch):
    """Alone, beside longer and shorter histories, and beside a copy of itself."""
    model, rows = model_of(name, tables), rows_of(LENGTHS)
    together = answers(model, make_batch(rows))
    assert together.shape == (len(LENGTHS),)
    for row in range(len(LENGTHS)):
        alone = answers(model, make_batch(taken(rows, [row])))
        doubled = answers(model, make_batch(taken(rows, [row, row])))
        torch.testing.assert_close(alone, together[row : row + 1], rtol=0, atol=1e-9)
        torch.testing.assert_close(doubled, alone.repeat(2), rtol=0, atol=1e-9)


def test_the_order_of_rows_changes_no_answer(double, name, tables, make_batch):
    model, rows = model_of(name, tables), rows_of(LENGTHS)
    order = np.random.default_rng(1).permutation(len(LENGTHS)).tolist()
    turned = answers(model, make_batch(taken(rows, order)))
    torch.testing.assert_close(turned, answers(model, make_batch(rows))[order], rtol=0, atol=1e-9)


def test_a_batch_without_any_history_is_answered_and_trains(name, tables, make_batch):
    model = model_of(name, tables)
    batch = make_batch(rows_of([0, 0, 0]))
    assert torch.isfinite(answers(model, batch)).all()
    model.train()(batch).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_the_history_changes_the_answer(name, tables, make_batch):
    model, rows = model_of(name, tables), rows_of([4])
    without = {**rows, "history": [[]]}
    assert answers(model, make_batch(rows)) != answers(model, make_batch(without))


def test_an_item_never_trained_on_is_judged_by_its_content(name, tables, make_batch):
    model = model_of(name, tables)
    train(model, make_batch(rows_of(LENGTHS)), steps=3, rate=0.01)
    rows = {**rows_of([2, 0, 2]), "item": [UNSEEN, UNSEEN, 5], "history": [[UNSEEN, 3], [], [UNSEEN, 3]]}
    answered = answers(model, make_batch(rows))
    assert torch.isfinite(answered).all()
    tags, embedding = tables
    elsewhere = embedding.copy()
    elsewhere[UNSEEN] = -elsewhere[UNSEEN]
    moved = model_of(name, (tags, elsewhere))
    moved.load_state_dict(model.state_dict())
    changed = answers(moved, make_batch(rows)) != answered
    assert changed[0]  # as target and in the history
    assert changed[2]  # in the history alone


def test_gradients_reach_every_parameter(double, name, tables, make_batch):
    model = model_of(name, tables)
    batch = make_batch(rows_of([1 + length for length in LENGTHS] * 4))
    loss_of(model.train(), batch).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def train(model, batch, steps, rate, seed=1):
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        optimizer.step()
    return F.binary_cross_entropy_with_logits(model(batch), batch.label).item()


def loss_of(model, batch):
    return model.training_loss(batch, lambda logits: F.binary_cross_entropy_with_logits(logits.float(), batch.label))


def test_dropout_draws_anew_at_every_step(name, tables, make_batch):
    model, batch = model_of(name, tables).train(), make_batch(rows_of(LENGTHS))
    assert not torch.equal(model(batch), model(batch))


def test_bf16_autocast_answers_nearly_the_same_and_trains(name, tables, make_batch):
    model, batch = model_of(name, tables), make_batch(rows_of([*LENGTHS, *LENGTHS]))
    exact = answers(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        rough = answers(model, batch)
        loss = loss_of(model.train(), batch)
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05 * float(exact.std()))
    loss.backward()
    assert all(p.grad.dtype == p.dtype and torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_restored_model_gives_the_same_answers(name, tables, make_batch):
    model, batch = model_of(name, tables), make_batch(rows_of(LENGTHS))
    train(model, batch, steps=2, rate=0.01)
    settings = {
        "ctr": params_of(name).model_dump(mode="json"),
        "items": ITEMS + 1,
        "tags": int(tables[0].max()) + 1,
        "embedding_width": CONTENT,
        "fixed": False,
    }
    trained = TrainedModel(settings, {key: value.numpy() for key, value in model.state_dict().items()})
    assert torch.equal(answers(restore_model(trained, *tables), batch), answers(model, batch))


SIZES = [
    (name, key)
    for name, settings in MODEL_PARAMS.items()
    for key, field in settings.model_fields.items()
    if field.annotation is int
]


@pytest.mark.parametrize(("named", "size"), SIZES)
def test_every_size_that_can_be_set_makes_another_model(tables, make_batch, named, size):
    batch = make_batch(rows_of(LENGTHS))
    settings = params_of(named).model
    small, large = (model_of(named, tables, **{size: n * (getattr(settings, size) or 4)}) for n in (1, 2))
    shapes = [[(key, p.shape) for key, p in model.named_parameters()] for model in (small, large)]
    assert shapes[0] != shapes[1] or not torch.equal(answers(small, batch), answers(large, batch))
    assert torch.isfinite(answers(large, batch)).all()


def test_embedding_parameters_hold_every_table_and_not_the_network(name, tables):
    model = model_of(name, tables)
    names = {id(p): key for key, p in model.named_parameters()}
    found = {names[id(parameter)] for parameter in model.embedding_parameters()}
    assert len(found) == len(model.embedding_parameters())
    tables = {
        f"{key}.weight" for key, module in model.named_modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag)
    }
    assert tables
    assert tables <= found < set(names.values())
