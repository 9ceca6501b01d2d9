"""transformer_dcn and qin give the numbers of the padded forms in benchmarks/padded.py, dropout off."""

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from benchmarks.padded import PADDED, padded_rows
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.models import build_model
from mmctr_kedro.models.settings import CtrParams

ITEMS, TAGS, CONTENT = 30, 12, 6
LENGTHS = [3, 0, 1, 64, 5, 2, 5, 63, 4, 0, 7]
SMALL = {
    "transformer_dcn": {
        "width": 4,
        "layers": 2,
        "heads": 2,
        "feed_forward": 8,
        "encoder_dropout": 0,
        "last": 3,
        "dnn_units": (8, 6),
        "head_units": (5, 4),
        "net_dropout": 0,
    },
    "qin": {"width": 4, "layers": 3, "rows": 2, "net_dropout": 0},
}
CASES = [
    ("transformer_dcn", {}),
    ("transformer_dcn", {"published_mask": True}),
    ("transformer_dcn", {"heads": 1, "layers": 1, "last": 1, "cross_layers": 1, "dnn_units": (7,), "head_units": (3,)}),
    ("transformer_dcn", {"last": 16, "layers": 3}),
    ("qin", {}),
    ("qin", {"rows": 1, "layers": 1}),
    ("qin", {"net_dropout": 1e-13}),  # nothing is dropped, but the rows of a layer are computed apart
]


@pytest.fixture
def tables(double):
    random = np.random.default_rng(5)
    tags = np.where(random.random((ITEMS + 1, 5)) < 0.5, 0, random.integers(1, TAGS, (ITEMS + 1, 5)))
    embedding = random.standard_normal((ITEMS + 1, CONTENT))
    tags[0], embedding[0] = 0, 0
    return tags.astype(np.int32), embedding


def model_of(tables, name, **settings):
    torch.manual_seed(2)
    model = build_model(CtrParams(model={"name": name, **SMALL[name], **settings}), *tables)
    with torch.no_grad():  # away from the tiny initial tables and zero biases, or errors would not show
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for table in (model.items.item, model.items.tag, model.likes_level, model.views_level):
            table.weight[0] = 0
    return model


def rows_of(lengths, seed=3):
    random = np.random.default_rng(seed)
    return {
        "item": random.integers(1, ITEMS + 1, len(lengths)).tolist(),
        "history": [random.integers(1, ITEMS + 1, length).tolist() for length in lengths],
        "likes": random.integers(1, 11, len(lengths)).tolist(),
        "views": random.integers(1, 11, len(lengths)).tolist(),
        "label": random.integers(0, 2, len(lengths)).astype(float).tolist(),
    }


def padded_input(tables, batch):
    return padded_rows(batch, *(torch.from_numpy(table) for table in tables))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_logits_and_gradients_are_those_of_the_padded_form(tables, make_batch, double, name, settings, training):
    ours = model_of(tables, name, **settings).train(training)
    reference = PADDED[name](ours).train(training)
    batch = make_batch(rows_of(LENGTHS))
    inputs = padded_input(tables, batch)
    # Our weights, rearranged, run through the padded form: its gradients arrive at our parameters.
    logits = [ours(batch), functional_call(reference, reference.weights_of(ours), (inputs,))]
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=1e-9)
    parameters = dict(ours.named_parameters())
    gradients = [
        torch.autograd.grad(F.binary_cross_entropy_with_logits(values, batch.label), list(parameters.values()))
        for values in logits
    ]
    for parameter, mine, theirs in zip(parameters, *gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12, msg=lambda text, at=parameter: f"{at}: {text}")


@pytest.mark.parametrize("name", ["transformer_dcn", "qin"])
def test_the_padded_form_has_as_many_parameters(tables, name):
    ours = model_of(tables, name)
    counts = [sum(p.numel() for p in model.parameters()) for model in (ours, PADDED[name](ours))]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("clicks", "changes"), [(5, False), (63, False), (64, True)])
def test_with_the_published_mask_only_a_history_of_full_width_changes_the_answer(tables, make_batch, clicks, changes):
    model = model_of(tables, "transformer_dcn", published_mask=True).eval()
    rows = rows_of([clicks])
    turned = {**rows, "history": [[1 + item % ITEMS for item in rows["history"][0]]]}
    assert (model(make_batch(rows)) != model(make_batch(turned))).item() is changes


def test_with_the_published_mask_only_the_newest_of_64_clicks_counts(tables, make_batch):
    model = model_of(tables, "transformer_dcn", published_mask=True).eval()
    rows = rows_of([64])
    history = rows["history"][0]
    older = {**rows, "history": [[1 + item % ITEMS for item in history[:-1]] + history[-1:]]}
    newest = {**rows, "history": [[*history[:-1], 1 + history[-1] % ITEMS]]}
    answer = model(make_batch(rows))
    assert torch.equal(model(make_batch(older)), answer)
    assert not torch.equal(model(make_batch(newest)), answer)


@pytest.mark.parametrize("clicks", [1, 5, 63, 64])
def test_with_the_right_mask_every_click_changes_the_answer(tables, make_batch, clicks):
    model = model_of(tables, "transformer_dcn").eval()
    rows = rows_of([clicks])
    answer = model(make_batch(rows))
    for place in range(clicks):
        history = list(rows["history"][0])
        history[place] = 1 + history[place] % ITEMS
        assert not torch.equal(model(make_batch({**rows, "history": [history]})), answer)


def test_the_newest_clicks_stand_in_the_slots_of_the_head(tables, make_batch):
    """With one encoder token per click marked by hand: newest first, zeros after the oldest."""
    from mmctr_kedro.models.transformer_dcn import newest_clicks, tokens_of

    tokens = tokens_of(make_batch(rows_of([2, 0, 4])), last=3, published_mask=False)
    assert tokens.rows.tolist() == [2, 0, 1]
    assert tokens.groups == [(1, 4), (1, 2), (1, 1)]
    assert tokens.users == [3, 2, 1]
    marks = torch.arange(1.0, 8.0).unsqueeze(1)
    assert newest_clicks(marks, tokens, 3).tolist() == [[1, 2, 3], [5, 6, 0], [7, 0, 0]]


def test_heads_that_do_not_divide_the_token_are_refused(tables):
    with pytest.raises(MmctrError, match=r"heads=3 does not divide the token's 28 numbers"):
        model_of(tables, "transformer_dcn", heads=3)


def test_qin_has_the_parameters_that_its_authors_log(double):
    """31,244,293 for 91,718 items and 11,740 tags; counted on tables that take no memory."""
    from mmctr_kedro.models.qin import Qin
    from mmctr_kedro.models.settings import QinParams

    torch.set_default_dtype(torch.float32)
    with torch.device("meta"):
        model = Qin(QinParams(), np.zeros((91_718, 5), np.int32), np.zeros((91_718, 128), np.float32), 11_740)
    assert sum(parameter.numel() for parameter in model.parameters()) == 31_244_293
