"""Negatives: the law, and what happens where the law has next to nothing to offer."""

import numpy as np
import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.importing.negatives import Negatives


def clicks(**items_of_user: list[int]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [(int(user[1:]), item) for user, items in items_of_user.items() for item in items]
    return np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])


def test_uniform_draws_each_other_item_equally_often(rng):
    negatives = Negatives(*clicks(u1=[2, 4]), popularity=np.array([1, 50, 1, 50, 9]))
    drawn = negatives.draw(np.full(30_000, 1), 1, "uniform", rng)
    counts = np.bincount(drawn.ravel(), minlength=6)
    assert counts[[0, 2, 4]].tolist() == [0, 0, 0]
    assert np.allclose(counts[[1, 3, 5]] / 30_000, 1 / 3, atol=0.015)


def test_popularity_draws_by_clicks_in_training_time(rng):
    negatives = Negatives(*clicks(u1=[2]), popularity=np.array([10, 50, 30, 0]))
    drawn = negatives.draw(np.full(30_000, 1), 1, "popularity", rng)
    assert np.allclose(np.bincount(drawn.ravel(), minlength=5) / 30_000, [0, 0.25, 0, 0.75, 0], atol=0.015)


def test_the_items_beside_one_click_are_distinct(rng):
    drawn = Negatives(*clicks(u1=[1]), popularity=np.ones(6)).draw(np.full(2_000, 1), 5, "uniform", rng)
    assert all(sorted(row) == [2, 3, 4, 5, 6] for row in drawn.tolist())


def test_a_user_who_clicked_nearly_everything_gets_what_is_left(rng):
    negatives = Negatives(*clicks(u1=list(range(1, 1000)), u2=[1]), popularity=np.ones(1001))
    drawn = negatives.draw(np.array([1, 2, 1]), 2, "uniform", rng)
    assert sorted(drawn[0]) == sorted(drawn[2]) == [1000, 1001]


def test_where_popularity_offers_too_few_unclicked_items_fill_up(rng):
    negatives = Negatives(*clicks(u1=[1, 2]), popularity=np.array([5, 5, 1, 0, 0]))
    drawn = negatives.draw(np.full(200, 1), 2, "popularity", rng)
    assert (drawn[:, 0] == 3).all() or (np.sort(drawn, axis=1)[:, 0] == 3).all()
    assert set(np.sort(drawn, axis=1)[:, 1].tolist()) == {4, 5}


def test_too_many_negatives_for_the_items_is_an_error_that_names_the_setting(rng):
    negatives = Negatives(*clicks(u3=[1, 2, 3]), popularity=np.ones(4))
    with pytest.raises(MmctrError, match=r"user 3.*all but 1 of 4 items.*negatives_per_click"):
        negatives.draw(np.array([3]), 2, "uniform", rng)
