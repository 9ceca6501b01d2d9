"""The scorecard's numbers, worked out by hand or by a slow loop."""

import json

import numpy as np
import pytest

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation import scorecard


def histories(*lists: list[int], item=(1,), label=1, first_user=1) -> Clicks:
    rows = len(item)
    return Clicks(
        history_user=np.arange(first_user, first_user + len(lists), dtype=np.int32),
        history_offsets=np.cumsum([0, *map(len, lists)]),
        history_items=np.array([i for items in lists for i in items], dtype=np.int32),
        history=np.zeros(rows, np.int32),
        item=np.array(item, np.int32),
        likes_level=np.ones(rows, np.int8),
        views_level=np.ones(rows, np.int8),
        row_id=np.arange(rows),
        label=np.full(rows, label, np.int8),
    )


def on_a_circle(*degrees: float) -> np.ndarray:
    """Items 1.. at these angles; row 0 zeros."""
    angle = np.radians(degrees)
    return np.concatenate([np.zeros((1, 2)), np.stack([np.cos(angle), np.sin(angle)], axis=1)]).astype(np.float32)


def everybody(clicks: Clicks) -> np.ndarray:
    return np.arange(len(clicks.history_user))


def test_the_newest_click_is_looked_for_from_the_clicks_before_it_and_these_do_not_count():
    unit, asked = on_a_circle(0, 10, 20, 30, 90), histories([1, 2, 4], [3], [], [5, 5])
    query, answer, known = scorecard.next_item_queries(unit, asked, everybody(asked))
    assert answer.tolist() == [4]  # one click asks nothing, and a click before tells the answer
    np.testing.assert_allclose(query[0], on_a_circle(5)[1], atol=1e-6)
    assert [items.tolist() for items in known] == [[1, 2]]
    # From 5 degrees, without items 1 and 2: 20 comes before 30.
    nearer, alike = scorecard.nearer_and_alike(unit, query, answer, known)
    assert (nearer.tolist(), alike.tolist()) == ([1], [1])


def test_places_are_those_of_a_slow_loop():
    rng = np.random.default_rng(2)
    unit = rng.integers(-2, 3, (40, 3)).astype(np.float32)  # with many ties
    unit[0] = 0
    query, answer = rng.integers(-2, 3, (600, 3)).astype(np.float32), rng.integers(1, 40, 600)
    known = [np.setdiff1d(rng.integers(1, 40, 4), [item]) for item in answer]
    expected = []
    for q, item, out in zip(query, answer, known, strict=True):
        scores = [unit[o] @ q for o in range(1, 40) if o not in out]
        expected.append((sum(o > unit[item] @ q for o in scores), sum(o == unit[item] @ q for o in scores)))
    assert list(zip(*scorecard.nearer_and_alike(unit, query, answer, known), strict=True)) == expected


def test_items_alike_come_in_any_order():
    """Two nearer and four alike: places 3, 4, 5, 6, each as likely."""
    found = scorecard._of_places(np.array([2]), np.array([4]))
    assert found["mrr"] == pytest.approx((1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 4, abs=1e-6)
    assert found["recall_at_10"] == 1
    assert scorecard._of_places(np.array([8]), np.array([4]))["recall_at_10"] == 0.5


def test_an_embedding_that_tells_nothing_apart_gets_chance():
    train, valid = histories([1, 2]), histories([1, 2, 3], [4, 5, 6], first_user=9)
    found = scorecard.judge(np.zeros((301, 8), np.float32), np.zeros((301, 5), np.int32), levels(300), train, valid)
    assert found["next_item"]["all"]["recall_at_100"] == pytest.approx(100 / 298, abs=1e-6)
    assert found["geometry"] == {"effective_rank": None, "isotropy": None, "mean_cosine": None}


def test_users_whom_train_knows_are_asked_only_where_there_are_no_others():
    unit, tags, train = on_a_circle(0, 1, 2, 90), np.zeros((5, 5), int), histories([1, 2], [3, 4])
    mixed = scorecard.judge(unit, tags, levels(4), train, histories([1, 2], [1, 4], first_user=2))
    assert (mixed["users_known_to_train"], mixed["next_item"]["all"]["queries"]) == (False, 1)
    known = scorecard.judge(unit, tags, levels(4), train, histories([1, 2], [1, 4]))
    assert (known["users_known_to_train"], known["next_item"]["all"]["queries"]) == (True, 2)


def test_cold_answers_are_those_that_train_never_shows():
    unit = on_a_circle(0, 1, 2, 90)
    asked, tags = histories([1, 2], [1, 4], first_user=9), np.zeros((5, 5), int)
    found = scorecard.judge(unit, tags, levels(4), histories([1, 2], item=(1, 3)), asked)
    assert found["next_item"]["all"]["queries"] == 2
    assert found["next_item"]["cold"]["queries"] == 1
    warm = scorecard.judge(unit, tags, levels(4), histories([2], item=(4,)), asked)
    assert warm["next_item"]["cold"] == {"queries": 0, "recall_at_10": None, "recall_at_100": None, "mrr": None}


def test_co_clicks_are_distinct_neighbours_and_the_asked_item_is_not_found():
    unit = on_a_circle(0, 10, 30, 60)
    asked = histories([1, 2, 2, 4], [1, 2], [3, 1])
    query, answer, known = scorecard.co_click_queries(unit, asked, np.array([0, 1]))
    assert answer.tolist() == [2, 4]
    assert [items.tolist() for items in known] == [[1], [2]]
    assert scorecard.nearer_and_alike(unit, query, answer, known)[0].tolist() == [0, 2]


def test_neighbours_that_share_a_tag_are_counted_beside_random_items():
    rng = np.random.default_rng(3)
    kind = np.arange(60) % 3
    embedding = np.concatenate([np.zeros((1, 3)), np.eye(3)[kind] + 0.01 * rng.standard_normal((60, 3))])
    tags = np.zeros((61, 5), np.int32)
    tags[1:, 4] = kind + 1
    unit = scorecard._unit(embedding)
    found = scorecard.tag_overlap(unit, tags)
    assert found["neighbours_share_a_tag"] == 1
    assert found["random_items_share_a_tag"] == pytest.approx(19 / 59, abs=0.01)
    tags[1:] = 0
    assert scorecard.tag_overlap(unit, tags)["neighbours_share_a_tag"] is None


def test_the_effective_rank_counts_directions_and_isotropy_tells_a_cone_from_a_ball():
    rng = np.random.default_rng(4)
    plane = rng.standard_normal((4000, 2)) @ np.eye(2, 16)
    assert scorecard.geometry(plane)["effective_rank"] == pytest.approx(2, abs=0.01)
    ball = scorecard.geometry(rng.standard_normal((4000, 16)))
    cone = scorecard.geometry(rng.standard_normal((4000, 16)) + 5)
    assert ball["effective_rank"] == pytest.approx(16, abs=0.1)
    assert ball["isotropy"] > 0.9 > 0.5 > cone["isotropy"]
    assert abs(ball["mean_cosine"]) < 0.01 < 0.9 < cone["mean_cosine"]


def test_labels_and_rows_of_valid_are_not_looked_at():
    rng = np.random.default_rng(5)
    embedding = rng.standard_normal((31, 4)).astype(np.float32)
    tags = rng.integers(0, 4, (31, 5))
    train = histories([1, 2, 3])
    one = histories([1, 5, 9], [2, 4], first_user=9)
    other = histories([1, 5, 9], [2, 4], item=(7, 8, 9), label=0, first_user=9)
    found = [json.dumps(scorecard.judge(embedding, tags, levels(30), train, valid)) for valid in (one, other)]
    assert found[0] == found[1]


def levels(items: int) -> np.ndarray:
    return np.column_stack([np.arange(items) % 10 + 1, np.full(items, 3)])


def test_levels_that_a_vector_holds_are_read_off_and_others_are_not():
    rng = np.random.default_rng(6)
    vectors, of_item, clicks = rng.standard_normal((400, 8)), rng.integers(1, 11, (400, 2)), rng.integers(0, 50, 400)
    vectors[:, 3] = of_item[:, 0] + 0.1 * rng.standard_normal(400)
    found = scorecard.told_by_ridge(vectors, of_item, clicks)
    assert found["likes"] > 0.9
    assert abs(found["views"]) < 0.1 > abs(found["popularity"])
    assert scorecard.told_by_ridge(vectors, np.ones((400, 2)), clicks)["likes"] is None  # nothing to tell apart
