"""Which rows are shown, and how they are told."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.reports import examples

CONTENT = pd.DataFrame(
    {
        "item_id": [1, 2, 3],
        "title": ["One", "Two " * 40, " "],
        "tag_words": [["cat", "dog"], [], ["bird"]],
        "likes_level": [2, 4, 0],
        "views_level": [5, 6, 0],
    }
)
SCORE = np.array([0.8, 0.6, 0.4, 0.2, 0.7, 0.1])


@pytest.fixture
def valid(clicks) -> Clicks:
    """Clicks score .8 .4 .7 in rows 0 2 4, the others .6 .2 .1 in rows 1 3 5."""
    return clicks(item=[1, 1, 2, 2, 3, 3], label=[1, 0, 1, 0, 1, 0])


def test_the_most_telling_rows_come_first(valid):
    found = {kind: rows.tolist() for kind, rows in examples.choose_rows(SCORE, valid).items()}
    assert found == {
        "missed_clicks": [2, 4, 0],
        "false_hopes": [1, 3, 5],
        "found_clicks": [0, 4, 2],
        "passed_over": [5, 3, 1],
    }


def test_no_item_is_shown_twice_in_a_kind_and_equals_come_in_row_order(clicks):
    valid = clicks(item=[1, 1, 2, 2, 3], label=[1, 1, 1, 1, 1])
    found = examples.choose_rows(np.array([0.2, 0.1, 0.3, 0.3, 0.3]), valid)
    assert found["missed_clicks"].tolist() == [1, 2, 4]
    assert found["false_hopes"].tolist() == []


def test_a_row_is_told_in_words(valid):
    pieces = {"taste": np.array([1.23456, -1.0]), "levels": np.array([0.5, 2.0])}
    kinds = {"missed_clicks": np.array([0]), "false_hopes": np.array([3])}
    found = examples.in_words(kinds, SCORE, pieces, valid, CONTENT)
    one = {"item_id": 1, "title": "One", "tags": ["cat", "dog"]}
    assert found["missed_clicks"] == [
        {
            "row_id": 0, "prediction": 0.8, "item": one, "levels": [0, 0], "own_levels": [2, 5],
            "pieces": {"taste": 1.235, "levels": 0.5}, "clicked_before": [one] * 3,
        }
    ]  # fmt: skip
    [row] = found["false_hopes"]
    assert row["pieces"] == {"taste": -1.0, "levels": 2.0}
    assert row["item"]["title"].endswith("…")
    assert examples.items_of(found).tolist() == [1, 2]


def test_a_model_that_is_no_sum_has_no_pieces(valid):
    found = examples.in_words({"missed_clicks": np.array([4])}, SCORE, {}, valid, CONTENT)
    assert found["missed_clicks"][0]["pieces"] == {}
    assert found["missed_clicks"][0]["item"]["title"] == "item 3"  # its title is blank


def test_the_newest_clicks_come_first_and_an_empty_history_is_no_trouble(valid):
    valid = dataclasses.replace(
        valid,
        history_offsets=np.array([0, 0, 6, 7, 8, 9, 10]),
        history_items=np.array([1, 2, 3, 3, 1, 2, 1, 1, 1, 1], np.int32),
    )
    found = examples.in_words({"missed_clicks": np.array([0, 1])}, SCORE, {}, valid, CONTENT)
    before = [[item["item_id"] for item in row["clicked_before"]] for row in found["missed_clicks"]]
    assert before == [[], [2, 1, 3, 3, 2]]
