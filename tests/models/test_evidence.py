"""Our model piece by piece, by hand: what each may know, what it must not, and that the sum is the sum."""

import dataclasses

import numpy as np
import pytest
import torch

from mmctr_kedro.models import build_model
from mmctr_kedro.models.evidence import Evidence, Levels
from mmctr_kedro.models.settings import CtrParams, EvidenceParams

EVERYTHING = {"record": "counted", "popularity": True, "co_clicks": True}


@pytest.fixture
def build(item_tags, item_embedding):
    def build_with(embedding: np.ndarray = item_embedding, tags: np.ndarray = item_tags, **settings) -> Evidence:
        torch.manual_seed(3)
        return build_model(CtrParams(model={"name": "evidence", **settings}), tags, embedding).eval()

    return build_with


def with_levels(batch, likes, views):
    return dataclasses.replace(batch, likes_level=torch.tensor(likes), views_level=torch.tensor(views))


def test_the_logit_is_the_sum_of_the_pieces_that_count(build, rows, make_batch):
    model, batch = build(**EVERYTHING), make_batch(rows)
    said, _ = model.evidence(batch)
    assert set(said) == {"taste", "record", "co_clicks", "popularity", "levels"}
    torch.testing.assert_close(model(batch), sum(said.values()))


@pytest.mark.parametrize("settings", [{}, EVERYTHING, {"taste": False}])
def test_its_pieces_are_those_that_count_and_sum_to_the_logit(build, rows, make_batch, settings):
    model, batch = build(**settings), make_batch(rows)
    pieces = model.pieces(batch)
    assert set(pieces) == set(EvidenceParams(**settings).counted)
    assert torch.equal(model(batch), torch.stack(list(pieces.values())).sum(0))


@pytest.mark.parametrize(
    "settings", [{}, EVERYTHING, EVERYTHING | {"taste": False}], ids=["default", "all", "no taste"]
)
def test_candidates_after_one_history_are_given_the_same_sum(build, make_batch, settings):
    model = build(**settings)
    with torch.no_grad():
        model.levels.share_of_own.fill_(-1.0)
        model.record.own.weight.normal_()
    every = make_batch(
        {
            "item": [0, 1, 2, 3, 4, 5],
            "history": [[]] * 6,
            "likes": [0, 1, 4, 2, 8, 5],
            "views": [0, 7, 2, 5, 5, 1],
            "label": [0.0] * 6,
        }
    )
    parts = model.item_parts(every)
    for history in ([], [1, 5, 3, 5]):
        batch = make_batch(
            {"item": [4, 2, 4], "history": [history] * 3, "likes": [8, 4, 8], "views": [5, 2, 5], "label": [0.0] * 3}
        )
        found = model.after(torch.tensor(history, dtype=torch.int64), torch.tensor([4, 2, 4]), parts)
        torch.testing.assert_close(found, model(batch))


def test_a_record_that_is_absorbed_is_learnt_and_not_counted(build, rows, make_batch):
    model, batch = build(levels=False), make_batch(rows)
    assert torch.equal(model(batch), model.evidence(batch)[0]["taste"])
    model.training_loss(batch, lambda logits: logits.sum()).backward()
    assert model.record.own.weight.grad.any()


@pytest.mark.parametrize("piece", ["taste", "levels", "popularity", "co_clicks"])
def test_a_piece_that_is_off_has_no_parameters(build, piece):
    names = {name.split(".")[0] for name, _ in build(**{**EVERYTHING, piece: False}).named_parameters()}
    assert piece not in names
    assert names > {"record", "content"}


def test_a_match_is_how_much_of_the_history_lies_on_the_targets_codes(build, rows, make_batch):
    """One head and two codes, and items that lie on one of them wholly: items 1 and 5 on code 0, 2 and 4 on code 1."""
    taste = build(heads=1, codes=2).taste
    batch = make_batch(rows | {"item": [5, 4, 1], "history": [[1, 5, 2, 5], [], [4]]})
    codes = torch.tensor([[1.0, 0], [0, 1], [0, 1], [1, 0]])
    taste.hidden, taste.code = torch.nn.Identity(), torch.nn.Identity()
    seen = {}
    taste.norm.register_forward_hook(lambda _, given, __: seen.update(features=given[0]))
    taste.forward(1000 * codes, batch)  # a softmax of these is one code, wholly
    match, share, length = seen["features"].T
    assert match.tolist() == [3, 0, 0]
    assert share.tolist() == pytest.approx([3 / 5, 0, 0])
    assert length.tolist() == pytest.approx(np.log([5, 1, 2]))


def test_items_alike_in_content_and_tags_are_alike_to_taste(build, item_embedding, item_tags, rows, make_batch):
    item_embedding[3], item_tags[3] = item_embedding[1], item_tags[1]
    model = build(item_embedding, item_tags, levels=False)
    of_item = [model(make_batch(rows | {"item": [item, 4, 1]}))[0] for item in (1, 3)]
    torch.testing.assert_close(of_item[0], of_item[1])


def test_only_the_piece_of_levels_sees_the_rows_levels(build, rows, make_batch):
    model, batch = build(**EVERYTHING), make_batch(rows)
    with torch.no_grad():
        model.levels.share_of_own.fill_(-1.0)
        model.levels.anywhere.normal_()
    (said, _), (other, _) = model.evidence(batch), model.evidence(with_levels(batch, [2, 2, 2], [9, 9, 9]))
    assert not torch.equal(said.pop("levels"), other.pop("levels"))
    assert all(torch.equal(said[name], other[name]) for name in said)


def test_levels_are_the_log_ratio_worked_out_by_hand(rows, make_batch):
    piece, batch = Levels(6), with_levels(make_batch(rows), [1, 2, 3], [4, 5, 6])
    chance = torch.full((3, 2, 11), 1 / 11)
    chance[0, 0, 1], chance[0, 1, 4] = 0.9, 0.8  # row 0 carries its item's levels, most likely
    chance[1, 0, 2], chance[1, 1, 5] = 0.01, 0.02  # row 1 does not
    with torch.no_grad():
        share = 0.25
        piece.share_of_own.fill_(np.log(share / (1 - share)) / 20)
    found = piece(chance.log(), batch)
    own, anywhere = np.array([0.9 * 0.8, 0.01 * 0.02, 1 / 121]), 1 / 121  # before training any pair is as frequent
    np.testing.assert_allclose(found.detach(), np.log(own / (share * own + (1 - share) * anywhere)), rtol=1e-5)


def test_levels_begin_nearly_silent(build, rows, make_batch):
    model, batch = build(), make_batch(rows)
    with torch.no_grad():
        for weight in model.own_levels.parameters():
            weight.zero_()  # nothing is known of any item yet
    assert model.evidence(batch)[0]["levels"].abs().max() < 0.01


def test_the_click_loss_of_the_sum_moves_no_piece_but_the_levels(build, rows, make_batch):
    model, batch = build(**EVERYTHING).train(), make_batch(rows)
    calls = []

    def second_alone(logits):
        calls.append(logits)
        return logits.sum() * (len(calls) == 2)

    model.training_loss(batch, second_alone).backward()
    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"levels", "own_levels"}


def test_the_scale_of_a_given_embedding_does_not_matter(build, item_embedding, rows, make_batch):
    batch = make_batch(rows)
    moved = item_embedding * 1000 + 5
    moved[0] = 0
    torch.testing.assert_close(build(item_embedding)(batch), build(moved)(batch), rtol=1e-3, atol=1e-5)


def test_an_embedding_without_any_difference_is_no_division_by_zero(build, item_embedding, rows, make_batch):
    assert torch.isfinite(build(np.zeros_like(item_embedding))(make_batch(rows))).all()


def test_without_the_leak_the_same_weights_say_what_the_others_said(build, rows, make_batch):
    model, batch = build(**EVERYTHING), make_batch(rows)
    params = EvidenceParams(**EVERYTHING)
    assert params.without_leak() == EvidenceParams(**EVERYTHING, levels=False)
    left = build(**EVERYTHING, levels=False)
    left.load_state_dict({name: model.state_dict()[name] for name in left.state_dict()})
    said, _ = model.evidence(batch)
    torch.testing.assert_close(left(batch), model(batch) - said["levels"], rtol=1e-5, atol=1e-6)


def test_at_most_five_comparisons_and_none_where_they_are_switched_off():
    assert list(EvidenceParams().to_compare()) == ["levels", "absorbed record", "record", "popularity", "co-clicks"]
    assert EvidenceParams(compare=False).to_compare() == {}
    assert list(EvidenceParams(record="counted", levels=False).to_compare()) == ["popularity", "co-clicks"]


def test_a_model_of_no_piece_is_refused():
    with pytest.raises(ValueError, match="no piece counts"):
        EvidenceParams(taste=False, levels=False)
