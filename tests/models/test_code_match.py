"""Code match, by hand: how much of the history lies on the target's codes, and what it must not know."""

import dataclasses

import numpy as np
import pytest
import torch

from mmctr_kedro.models import build_model
from mmctr_kedro.models.code_match import CodeMatch
from mmctr_kedro.params import CtrParams


@pytest.fixture
def build(item_tags, item_embedding):
    def build_with(embedding: np.ndarray = item_embedding, tags: np.ndarray = item_tags, **settings) -> CodeMatch:
        torch.manual_seed(3)
        return build_model(CtrParams(model={"name": "code_match", **settings}), tags, embedding).eval()

    return build_with


def test_a_match_is_the_share_of_the_history_on_the_targets_codes(build, rows, make_batch):
    """One head, two codes, and items that lie on one of them wholly: items 1 and 5 on code 0, 2 and 4 on code 1."""
    codes = torch.tensor([[1.0, 0], [0, 1], [0, 1], [1, 0]])[:, None, :]
    batch = make_batch(rows | {"item": [5, 4, 1], "history": [[1, 5, 2, 5], [], [4]]})
    match, share, length = build(heads=1, codes=2).matches(codes, batch)
    assert match.squeeze(1).tolist() == [3, 0, 0]
    assert share.squeeze(1).tolist() == pytest.approx([3 / 5, 0, 0])
    assert length.squeeze(1).tolist() == pytest.approx(np.log([5, 1, 2]))


def test_every_heads_codes_sum_to_one(build):
    codes = build(heads=3, codes=4).codes(torch.arange(6))
    assert codes.shape == (6, 3, 4)
    torch.testing.assert_close(codes.sum(-1), torch.ones(6, 3))


def test_items_alike_in_content_and_tags_are_alike_to_the_model(build, item_embedding, item_tags, rows, make_batch):
    item_embedding[3], item_tags[3] = item_embedding[1], item_tags[1]
    model = build(item_embedding, item_tags)
    of_item = [model(make_batch(rows | {"item": [item, 4, 1]}))[0] for item in (1, 3)]
    torch.testing.assert_close(of_item[0], of_item[1])


def test_levels_do_not_count(build, rows, make_batch):
    model, batch = build(), make_batch(rows)
    other = dataclasses.replace(batch, likes_level=batch.likes_level.flip(0), views_level=batch.views_level.flip(0))
    assert torch.equal(model(batch), model(other))


def test_the_scale_of_a_given_embedding_does_not_matter(build, item_embedding, rows, make_batch):
    batch = make_batch(rows)
    moved = item_embedding * 1000 + 5
    moved[0] = 0
    torch.testing.assert_close(build(item_embedding)(batch), build(moved)(batch), rtol=1e-3, atol=1e-5)


def test_an_embedding_without_any_difference_is_no_division_by_zero(build, item_embedding, rows, make_batch):
    assert torch.isfinite(build(np.zeros_like(item_embedding))(make_batch(rows))).all()
