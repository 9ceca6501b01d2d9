"""Metrics worked out by hand."""

import json

import numpy as np

from mmctr_kedro.evaluation import slices as measures
from mmctr_kedro.evaluation.bootstrap import Resamples

# Clicks score .8 and .4, the others .6 and .2: of the four pairs only (.4, .6) is wrong.
LABEL = np.array([1, 0, 1, 0], np.int8)
SCORE = np.array([0.8, 0.6, 0.4, 0.2], np.float32)


def judged(label, score, posterior=None) -> measures.Judged:
    """Each row of a user of its own."""
    return measures.Judged(label, score, posterior, Resamples(np.arange(max(1, len(label))), 1, 50))


def test_one_class_has_no_auc_no_error_and_no_curve():
    for label in (np.ones(30), np.zeros(30), np.zeros(0)):
        score = np.linspace(0, 1, len(label))
        found = measures.slice_of(label >= 0, judged(label, score, score))
        assert found["auc"] is found["auc_interval"] is found["best_reachable_auc"] is None
        assert measures.roc(label, score) is None


def test_roc_runs_from_corner_to_corner_and_never_falls():
    curve = measures.roc(LABEL, SCORE)
    assert (curve["true_positive_rate"][0], curve["true_positive_rate"][-1]) == (0, 1)
    assert np.all(np.diff(curve["true_positive_rate"]) >= 0)
    # Half the clicks are found before any mistake, all of them once half the others are taken for clicks.
    assert curve["true_positive_rate"][1] >= 0.5
    assert curve["true_positive_rate"][101] == 1


def test_auc_by_history_length_is_that_of_each_buckets_own_rows():
    length = np.array([3, 4, 4, 3, 5, 6, 40, 41])
    label = np.array([1, 0, 1, 0, 1, 0, 1, 1])
    score = np.array([0.8, 0.6, 0.4, 0.2, 0.1, 0.9, 0.3, 0.3])
    posterior = np.array([0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.9])
    found = measures.by_history_length(length, judged(label, score, posterior))
    assert [(b["bucket"], b["rows"], b["clicks"], b["auc"], b["best_reachable_auc"]) for b in found] == [
        ("3-4", 4, 2, 0.75, 1.0),
        ("5-6", 2, 1, 0.0, 1.0),
        ("30+", 2, 2, None, None),
    ]
    assert "NaN" not in json.dumps(found, allow_nan=False)


def test_best_reachable_is_null_where_nobody_knows_the_truth():
    (found,) = measures.by_history_length(np.array([3, 3]), judged(np.array([1, 0]), np.array([0.9, 0.1])))
    assert found["best_reachable_auc"] is None
    assert found["auc"] == 1.0


def test_tenths_by_popularity_have_equally_many_rows_and_leave_out_items_not_in_train():
    popularity = np.concatenate([np.repeat(-1, 7), np.arange(40)[::-1]])
    found = measures.by_popularity_decile(popularity, judged(np.zeros(47), np.zeros(47)))
    assert [(b["bucket"], b["rows"]) for b in found[:2]] == [("0-3", 4), ("4-7", 4)]
    assert [b["rows"] for b in found] == [4] * 10


def test_items_of_one_popularity_stay_together():
    popularity = np.array([0] * 6 + [1, 2, 2, 5])
    found = measures.by_popularity_decile(popularity, judged(np.zeros(10), np.zeros(10)))
    assert [(b["bucket"], b["rows"]) for b in found] == [("0", 6), ("1", 1), ("2", 2), ("5", 1)]


def test_no_rows_with_known_popularity_have_no_tenths():
    assert measures.by_popularity_decile(np.array([-1, -1]), judged(np.array([0, 1]), np.array([0.1, 0.2]))) == []


def test_popularity_is_clicks_in_train_and_items_never_in_train_stand_apart(clicks):
    # Item 1 has two rows, both clicks; item 2 one row, no click; 3 has none; 9 is beyond train's ids.
    train = clicks(item=[1, 1, 2], label=[1, 1, 0])
    assert measures.train_clicks(train, np.array([1, 2, 3, 9])).tolist() == [2, 0, -1, -1]
