"""The laws of a world: the exact truth, whose levels a row carries, neutral popularity, history lengths."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmctr_kedro.worlds.items import LEVELS, Items, draw_items
from mmctr_kedro.worlds.settings import WorldParams, generator
from mmctr_kedro.worlds.users import (
    Interests,
    Market,
    Users,
    draw_clicks,
    draw_negatives,
    draw_row_levels,
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
    in_pool=np.array([False, True, True, False]),
    likes_level=np.array([1, 1, 1, 2]),
    views_level=np.array([3, 3, 3, 4]),
)
ALL = np.ones(4, dtype=bool)


def _market(negatives="popularity", offered=ALL, **settings):
    return Market(FOUR, offered, WorldParams(law="taste", themes=2, styles=2, **settings), negatives)


def _valid_rows(seed, law):
    """5,000 valid rows of a default-sized world, as the generator draws them."""
    params = WorldParams(law=law, seed=seed)
    items = draw_items(params)
    market = Market(items, np.ones(len(items), dtype=bool), params, params.eval_negatives)
    rng = generator(seed, "valid")
    users = draw_users(market, 1250, params, rng)
    item = np.column_stack([users.click, draw_negatives(market, users.history, rng)])
    levels = draw_row_levels(market, item, rng)
    label = np.tile([1, 0, 0, 0], (1250, 1))
    return items, users, item.ravel(), label.ravel(), posterior(market, users, item, levels), levels.ravel()


@pytest.fixture(scope="module")
def worlds():
    return [_valid_rows(seed, "taste") for seed in SEEDS]


@pytest.fixture(scope="module")
def challenge_worlds():
    return [_valid_rows(seed, "challenge") for seed in SEEDS]


@pytest.fixture
def one_user():
    """Likes theme 1 twice and style 1 three times as much; has clicked item 0."""
    interests = Interests(theme=np.array([[1.0, 2.0]]), style=np.array([[1.0, 3.0]]))
    return Users(np.array([[0, -1]], dtype=np.int32), np.array([1]), interests)


def test_posterior_is_the_one_worked_out_by_hand(one_user):
    # Items 1, 2, 3 draw clicks as 0.3 * 3, 0.2 * 2, 0.1 * 6 and, by popularity, negatives as 0.3, 0.2, 0.1.
    item = np.array([[1, 2, 3]])
    p_click, p_negative = np.array([0.9, 0.4, 0.6]) / 1.9, np.array([0.3, 0.2, 0.1]) / 0.6
    found = posterior(_market(), one_user, item, FOUR.levels[item])
    np.testing.assert_allclose(found["posterior"][0], p_click / (p_click + 3 * p_negative))
    np.testing.assert_allclose(found["posterior_without_taste"][0], 0.25)  # clicks and negatives go by popularity alike
    found = posterior(_market("uniform"), one_user, item, FOUR.levels[item])
    np.testing.assert_allclose(found["posterior"][0], p_click / (p_click + 3 * (1 / 3)))
    np.testing.assert_allclose(found["posterior_without_levels"], found["posterior"])


def test_with_the_clicked_items_levels_the_posterior_is_the_one_worked_out_by_hand(one_user):
    market = _market(row_levels="clicked")
    item, shown = np.array([[1, 2, 3]]), FOUR.levels[[[1, 1, 1]]]  # items 1 and 2 have these levels, item 3 has not
    found = posterior(market, one_user, item, shown)
    p_click, p_negative = np.array([0.9, 0.4]) / 1.9, np.array([0.3, 0.2]) / 0.6
    p_levels = (0.9 + 0.4) / 1.9  # item 0 is in the history
    np.testing.assert_allclose(found["posterior"][0], [*(p_click / (p_click + 3 * p_negative * p_levels)), 0])
    appeal, p_levels = np.array([0.3, 0.2]) / 0.6, 0.5 / 0.6
    np.testing.assert_allclose(
        found["posterior_without_taste"][0], [*(appeal / (appeal + 3 * p_negative * p_levels)), 0]
    )


@pytest.mark.parametrize("row_levels", ["own", "clicked", "popular"])
@pytest.mark.parametrize("negatives", ["uniform", "popularity", "pool"])
def test_the_posterior_is_what_counting_many_rows_gives(one_user, row_levels, negatives):
    """Brute force: draw one user's group over and over, and count clicks among rows that show the same."""
    market = _market(negatives, row_levels=row_levels)
    rng, groups = generator(3, "valid"), 60_000
    interests = one_user.interests.take(np.zeros(groups, dtype=np.int64))
    history = np.zeros((groups, 1), dtype=np.int32)
    click = draw_clicks(market, interests, history, rng)
    item = np.column_stack([click, draw_negatives(market, history, rng)])
    levels = draw_row_levels(market, item, rng)
    shown = item * LEVELS**2 + levels
    for key in np.unique(shown):
        rows = shown == key
        users = Users(one_user.history, one_user.click, one_user.interests)
        at = [[key // LEVELS**2]], [[key % LEVELS**2]]
        expected = posterior(market, users, np.array(at[0]), np.array(at[1]))["posterior"][0, 0]
        share = rows[:, 0].sum() / rows.sum()
        assert abs(share - expected) < 4 * np.sqrt(max(expected * (1 - expected), 1e-3) / rows.sum())


def test_each_rows_truth_is_its_own_whatever_stands_beside_it(one_user):
    market = _market(row_levels="clicked")
    item, levels = np.array([[1, 2, 3]]), FOUR.levels[[[1, 1, 1]]]
    alone = [posterior(market, one_user, item[:, i : i + 1], levels[:, i : i + 1])["posterior"][0, 0] for i in range(3)]
    np.testing.assert_allclose(posterior(market, one_user, item, levels)["posterior"][0], alone)


@pytest.mark.parametrize("tries", [50, 0])  # 0: from the law written out in full
def test_clicks_follow_the_law_over_items_not_yet_clicked(one_user, tries):
    market = _market()
    crowd = one_user.interests.take(np.zeros(40_000, dtype=np.int64))
    history = np.zeros((40_000, 1), dtype=np.int32)
    click = draw_clicks(market, crowd, history, generator(1, "valid"), tries)
    shares = np.bincount(click, minlength=4) / len(click)
    np.testing.assert_allclose(shares, np.array([0, 0.9, 0.4, 0.6]) / 1.9, atol=0.01)  # 4 standard errors


@pytest.mark.parametrize(
    ("law", "exponent", "weights"),
    [
        ("uniform", 1, [0, 1, 1, 1]),
        ("popularity", 1, [0, 3, 2, 1]),
        ("popularity", 2, [0, 9, 4, 1]),
        ("pool", 1, [0, 1, 1, 0]),
    ],
)
def test_negatives_follow_their_law_outside_the_history(law, exponent, weights):
    market = _market(law, negatives_exponent=exponent)
    drawn = draw_negatives(market, np.zeros((20_000, 1), dtype=np.int32), generator(1, "valid"))
    np.testing.assert_allclose(
        np.bincount(drawn.ravel(), minlength=4) / drawn.size, np.array(weights) / sum(weights), atol=0.01
    )


def test_items_not_on_offer_are_never_met():
    market = _market("uniform", np.array([True, True, True, False]))
    users = draw_clicks(
        market, Interests(np.ones((999, 2)), np.ones((999, 2))), np.full((999, 1), 0), generator(1, "train")
    )
    negatives = draw_negatives(market, np.full((999, 1), 0), generator(1, "train"))
    assert set(users) == set(negatives.ravel()) == {1, 2}


@pytest.mark.parametrize("seed", SEEDS)
def test_popularity_alone_says_nothing_about_valid_clicks(worlds, seed):
    items, _, item, label, *_ = worlds[seed - 1]
    for score in (items.popularity, items.views_level, items.likes_level):
        assert 0.47 <= roc_auc_score(label, score[item]) <= 0.53


@pytest.mark.parametrize("seed", SEEDS)
def test_the_oracle_is_good_but_not_perfect(worlds, seed):
    _, _, _, label, truth, _ = worlds[seed - 1]
    assert 0.90 <= roc_auc_score(label, truth["posterior"].ravel()) <= 0.97


@pytest.mark.parametrize("law", ["worlds", "challenge_worlds"])
@pytest.mark.parametrize("known", ["posterior", "posterior_without_taste", "posterior_without_levels"])
def test_the_posterior_is_calibrated(request, law, known):
    found = request.getfixturevalue(law)
    label = np.concatenate([world[3] for world in found])
    truth = np.concatenate([world[4][known].ravel() for world in found])
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 0.9), (0.9, 1), (0, 1)):
        inside = (truth >= low) & (truth < high)
        error = np.sqrt((truth[inside] * (1 - truth[inside])).sum()) / max(inside.sum(), 1)
        assert not inside.any() or abs(label[inside].mean() - truth[inside].mean()) <= 4 * error


@pytest.mark.parametrize("seed", SEEDS)
def test_in_the_challenges_world_levels_give_a_click_away(challenge_worlds, seed):
    items, _, item, label, truth, levels = challenge_worlds[seed - 1]
    own = items.levels[item] == levels
    assert own[label == 1].all()
    assert 0.03 < own[label == 0].mean() < 0.09  # a published submission has about 5 %
    auc = {name: roc_auc_score(label, chances.ravel()) for name, chances in truth.items()}
    assert 0.70 < auc["posterior_without_levels"] < 0.90 < 0.97 < auc["posterior_without_taste"] < auc["posterior"] < 1


def test_history_lengths_are_the_challenges(worlds):
    length = np.concatenate([(users.history >= 0).sum(axis=1) for _, users, *_ in worlds])
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
