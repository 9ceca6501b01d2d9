"""The laws of the default world, over five seeds: exact truth, neutral popularity, history lengths."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmctr_kedro.params import WorldParams
from mmctr_kedro.worlds.items import Items, draw_items
from mmctr_kedro.worlds.randomness import generator
from mmctr_kedro.worlds.users import (
    Interests,
    Market,
    Users,
    draw_clicks,
    draw_negatives,
    draw_users,
    posterior,
)

SEEDS = (1, 2, 3, 4, 5)
# Four items: (theme, style) = (0,0), (0,1), (1,0), (1,1).
FOUR = Items(
    theme=np.array([0, 0, 1, 1]),
    style=np.array([0, 1, 0, 1]),
    popularity=np.array([0.4, 0.3, 0.2, 0.1]),
    appeal=np.array([0.4, 0.3, 0.2, 0.1]),
    is_new=np.zeros(4, dtype=bool),
    likes_level=np.ones(4, dtype=np.int64),
    views_level=np.ones(4, dtype=np.int64),
)


def _valid_rows(seed):
    """5,000 valid rows of the default world, as the generator draws them."""
    params = WorldParams(seed=seed)
    items = draw_items(params)
    market = Market(items, np.ones(len(items), dtype=bool), (params.themes, params.styles))
    rng = generator(seed, "valid")
    users = draw_users(market, 1250, params, rng)
    item = np.column_stack([users.click, draw_negatives(market, users.history, "popularity", rng)])
    label = np.tile([1, 0, 0, 0], (1250, 1))
    return items, users, item.ravel(), label.ravel(), posterior(market, users, item, "popularity").ravel()


@pytest.fixture(scope="module")
def worlds():
    return [_valid_rows(seed) for seed in SEEDS]


@pytest.fixture
def market():
    return Market(FOUR, np.ones(4, dtype=bool), (2, 2))


@pytest.fixture
def one_user():
    """Likes theme 1 twice and style 1 three times as much; has clicked item 0."""
    interests = Interests(theme=np.array([[1.0, 2.0]]), style=np.array([[1.0, 3.0]]))
    return Users(np.array([[0, -1]], dtype=np.int32), np.array([1]), np.array([1]), interests)


def test_posterior_is_the_one_worked_out_by_hand(market, one_user):
    # Items 1, 2, 3 draw clicks as 0.3 * 3, 0.2 * 2, 0.1 * 6 and, by popularity, negatives as 0.3, 0.2, 0.1.
    p_click, p_negative = np.array([0.9, 0.4, 0.6]) / 1.9, np.array([0.3, 0.2, 0.1]) / 0.6
    expected = p_click / (p_click + 3 * p_negative)
    np.testing.assert_allclose(posterior(market, one_user, np.array([[1, 2, 3]]), "popularity")[0], expected)
    expected = p_click / (p_click + 3 * (1 / 3))
    np.testing.assert_allclose(posterior(market, one_user, np.array([[1, 2, 3]]), "uniform")[0], expected)


@pytest.mark.parametrize("tries", [50, 0])  # 0: from the law written out in full
def test_clicks_follow_the_law_over_items_not_yet_clicked(market, one_user, tries):
    crowd = one_user.interests.take(np.zeros(40_000, dtype=np.int64))
    history = np.zeros((40_000, 1), dtype=np.int32)
    click = draw_clicks(market, crowd, history, generator(1, "valid"), tries)
    shares = np.bincount(click, minlength=4) / len(click)
    np.testing.assert_allclose(shares, np.array([0, 0.9, 0.4, 0.6]) / 1.9, atol=0.01)  # 4 standard errors


@pytest.mark.parametrize(("law", "weights"), [("uniform", [0, 1, 1, 1]), ("popularity", [0, 3, 2, 1])])
def test_negatives_follow_their_law_outside_the_history(market, law, weights):
    drawn = draw_negatives(market, np.zeros((20_000, 1), dtype=np.int32), law, generator(1, "valid"))
    np.testing.assert_allclose(
        np.bincount(drawn.ravel(), minlength=4) / drawn.size, np.array(weights) / sum(weights), atol=0.01
    )


def test_items_not_on_offer_are_never_met():
    market = Market(FOUR, np.array([True, True, True, False]), (2, 2))
    users = draw_clicks(
        market, Interests(np.ones((999, 2)), np.ones((999, 2))), np.full((999, 1), 0), generator(1, "train")
    )
    negatives = draw_negatives(market, np.full((999, 1), 0), "uniform", generator(1, "train"))
    assert set(users) == set(negatives.ravel()) == {1, 2}


@pytest.mark.parametrize("seed", SEEDS)
def test_popularity_alone_says_nothing_about_valid_clicks(worlds, seed):
    items, _, item, label, _ = worlds[seed - 1]
    for score in (items.popularity, items.views_level, items.likes_level):
        assert 0.47 <= roc_auc_score(label, score[item]) <= 0.53


@pytest.mark.parametrize("seed", SEEDS)
def test_the_oracle_is_good_but_not_perfect(worlds, seed):
    _, _, _, label, truth = worlds[seed - 1]
    assert 0.90 <= roc_auc_score(label, truth) <= 0.97


def test_the_posterior_is_calibrated(worlds):
    label, truth = (np.concatenate([world[part] for world in worlds]) for part in (3, 4))
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 0.9), (0.9, 1), (0, 1)):
        inside = (truth >= low) & (truth < high)
        error = np.sqrt((truth[inside] * (1 - truth[inside])).sum()) / inside.sum()
        assert abs(label[inside].mean() - truth[inside].mean()) < 4 * error


def test_history_lengths_are_the_challenges(worlds):
    length = np.concatenate([users.length for _, users, *_ in worlds])
    assert np.percentile(length, [25, 50, 75]).tolist() == [4, 6, 9]
    assert 7.6 < length.mean() < 8.4
    assert length.min() == 3
    assert length.max() <= 64


def test_about_two_percent_of_rows_have_a_new_item(worlds):
    shares = [items.is_new[item].mean() for items, _, item, *_ in worlds]
    assert 0.015 < np.mean(shares) < 0.026


def test_popularity_is_long_tailed(worlds):
    for items, *_ in worlds:
        head = np.sort(items.popularity)[::-1][: len(items) // 10].sum()
        assert head > 0.28  # the first tenth; a tenth if all were alike


def test_nobody_clicks_an_item_twice(worlds):
    for _, users, *_ in worlds:
        clicks = np.sort(np.column_stack([users.history, users.click]), axis=1)
        assert not ((clicks[:, 1:] == clicks[:, :-1]) & (clicks[:, 1:] >= 0)).any()
