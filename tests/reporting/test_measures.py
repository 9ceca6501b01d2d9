"""Metrics worked out by hand."""

import json
import math

import numpy as np
import pytest

from mmctr_kedro.pipelines.reporting import measures

# Clicks score .8 and .4, the others .6 and .2: of the four pairs only (.4, .6) is wrong.
LABEL = np.array([1, 0, 1, 0], np.int8)
SCORE = np.array([0.8, 0.6, 0.4, 0.2], np.float32)


def test_auc_is_the_share_of_pairs_ranked_right():
    assert measures.auc(LABEL, SCORE) == 0.75


def test_a_tie_counts_half():
    assert measures.auc(np.array([1, 0]), np.array([0.5, 0.5])) == 0.5


def test_the_standard_error_is_delongs():
    # Clicks beat 2/2 and 1/2 of the others, a variance of 1/8; the others lie below 1/2 and 2/2 of the
    # clicks, again 1/8; each counts two rows: (1/8 + 1/8) / 2.
    assert measures.auc_standard_error(LABEL, SCORE) == pytest.approx(math.sqrt(1 / 8))


def test_the_standard_error_is_the_spread_of_the_auc_over_samples():
    rng = np.random.default_rng(3)
    label = np.tile([1, 0, 0, 0], 100)
    scores = [rng.normal(size=400) + label for _ in range(300)]
    spread = np.std([measures.auc(label, score) for score in scores])
    assert measures.auc_standard_error(label, scores[0]) == pytest.approx(spread, rel=0.15)


def test_one_class_has_no_auc_no_error_and_no_curve():
    for label in (np.ones(3), np.zeros(3), np.zeros(0)):
        score = np.linspace(0, 1, len(label))
        assert measures.auc(label, score) is None
        assert measures.auc_standard_error(label, score) is None
        assert measures.roc(label, score) is None


def test_calibration_compares_mean_prediction_and_share_of_clicks():
    # 20 rows in ten bins of two; both rows of the highest bin are clicks, predicted .95 on average.
    score = np.arange(20) / 20 + 0.0
    label = (np.arange(20) >= 18).astype(int)
    bins = measures.calibration(label, score)
    assert [bin_["rows"] for bin_ in bins] == [2] * 10
    assert bins[-1] == {
        "rows": 2, "mean_prediction": pytest.approx(0.925), "click_share": 1.0, "standard_error": 0.0
    }  # fmt: skip
    gaps = [np.mean(score[2 * i : 2 * i + 2]) for i in range(9)] + [1 - 0.925]
    assert measures.expected_calibration_error(bins) == pytest.approx(np.mean(gaps))


def test_equal_predictions_stay_in_one_bin():
    bins = measures.calibration(np.array([1, 0, 0, 0]), np.full(4, 0.25))
    assert bins == [
        {
            "rows": 4,
            "mean_prediction": 0.25,
            "click_share": 0.25,
            "standard_error": pytest.approx(0.75**0.5 / 4),
        }
    ]
    assert measures.expected_calibration_error(bins) == 0


def test_auc_and_roc_are_scikit_learns():
    from sklearn.metrics import roc_auc_score, roc_curve

    rng = np.random.default_rng(4)
    label = (rng.random(500) < 0.3).astype(np.int8)
    score = np.round(rng.random(500) + 0.3 * label, 2).astype(np.float32)  # with ties
    assert measures.auc(label, score) == pytest.approx(roc_auc_score(label, score))
    false_positive, true_positive, _ = roc_curve(label, score, drop_intermediate=False)
    curve = measures.roc(label, score)
    expected = np.interp(curve["false_positive_rate"][1:], false_positive, true_positive)
    assert curve["true_positive_rate"][1:] == pytest.approx(expected, abs=1e-5)


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
    found = measures.by_bucket(length, measures.HISTORY_EDGES, label, score, posterior)
    assert [(b["bucket"], b["rows"], b["clicks"], b["auc"], b["best_reachable_auc"]) for b in found] == [
        ("3-4", 4, 2, 0.75, 1.0),
        ("5-6", 2, 1, 0.0, 1.0),
        ("30+", 2, 2, None, None),
    ]
    assert "NaN" not in json.dumps(found, allow_nan=False)


def test_best_reachable_is_null_where_nobody_knows_the_truth():
    found = measures.by_bucket(np.array([3, 3]), (0, 1), np.array([1, 0]), np.array([0.9, 0.1]), None)
    assert found[0]["best_reachable_auc"] is None
    assert found[0]["auc"] == 1.0


def test_popularity_is_clicks_in_train_and_items_never_in_train_stand_apart(clicks):
    # Item 1 has two rows, both clicks; item 2 one row, no click; 3 has none; 9 is beyond train's ids.
    train = clicks(item=[1, 1, 2], label=[1, 1, 0])
    assert measures.train_clicks(train, np.array([1, 2, 3, 9])).tolist() == [2, 0, -1, -1]


def test_buckets_of_popularity_double():
    edges = measures.POPULARITY_EDGES
    names = [measures.bucket_name(edges, number) for number in range(len(edges))]
    assert names[:6] == ["not in train", "0", "1", "2-3", "4-7", "8-15"]
    assert names[-1] == "1024+"
