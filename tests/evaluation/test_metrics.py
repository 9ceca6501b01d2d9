"""Measures of a prediction, worked out by hand or equal to scikit-learn's."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mmctr_kedro.evaluation import metrics
from mmctr_kedro.evaluation.metrics import auc, auc_standard_error, grouped_auc

# Clicks score .8 and .4, the others .6 and .2: of the four pairs only (.4, .6) is wrong.
LABEL = np.array([1, 0, 1, 0], np.int8)
SCORE = np.array([0.8, 0.6, 0.4, 0.2], np.float32)


def test_auc_of_four_rows_by_hand():
    # Click 0.4 beats 0.1 and ties with 0.4; click 0.8 beats both: (1 + 0.5 + 2) / 4.
    assert auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])) == 0.875


def test_auc_of_one_class_is_undefined():
    assert np.isnan(auc(np.array([1, 1]), np.array([0.1, 0.2])))


labels_and_scores = st.tuples(st.integers(0, 1), st.integers(0, 6))
rows = st.lists(labels_and_scores, min_size=2, max_size=60).filter(
    lambda pairs: len({label for label, _ in pairs}) == 2
)


@given(rows)
def test_counted_rows_have_the_auc_and_the_error_of_the_rows_one_by_one(pairs):
    label, score = np.array(pairs).T
    keys = np.arange(7)
    clicks, both = np.bincount(score[label == 1], minlength=7), np.bincount(score, minlength=7)
    assert metrics.auc_of_counts(keys, clicks, both - clicks) == auc(label, score)
    error = metrics.auc_standard_error_of_counts(keys, clicks, both - clicks)
    assert error == pytest.approx(auc_standard_error(label, score), nan_ok=True)


def test_scores_that_occur_twice_among_counts_are_ties():
    # Two keys score alike: one click and one other tie there, and the click beats the other at 0.
    assert metrics.auc_of_counts(np.array([1, 1, 0]), np.array([1, 0, 0]), np.array([0, 1, 1])) == 0.75


def test_the_standard_error_is_delongs():
    # Clicks beat 2/2 and 1/2 of the others, a variance of 1/8; the others lie below 1/2 and 2/2 of the
    # clicks, again 1/8; each counts two rows: (1/8 + 1/8) / 2.
    assert auc_standard_error(LABEL, SCORE) == pytest.approx(math.sqrt(1 / 8))


def test_the_standard_error_is_the_spread_of_the_auc_over_samples():
    rng = np.random.default_rng(3)
    label = np.tile([1, 0, 0, 0], 100)
    scores = [rng.normal(size=400) + label for _ in range(300)]
    spread = np.std([auc(label, score) for score in scores])
    assert auc_standard_error(label, scores[0]) == pytest.approx(spread, rel=0.15)


def test_grouped_auc_is_weighted_by_rows_and_leaves_out_groups_of_one_label():
    # User 7: AUC 1 over 2 rows. User 3: click .5 beats .2, loses to .6 and .9: 1/3 over 4 rows. User 5: clicks only.
    user = np.array([3, 7, 3, 5, 7, 3, 3, 5])
    label = np.array([1, 1, 0, 1, 0, 0, 0, 1])
    score = np.array([0.5, 0.3, 0.2, 0.9, 0.1, 0.6, 0.9, 0.1])
    found = grouped_auc(label, score, user)
    assert found.auc == pytest.approx((2 * 1 + 4 / 3) / 6)
    assert found.rows_share == 6 / 8
    assert found.groups == 2


def test_ties_within_a_group_count_half_and_equal_scores_of_two_groups_are_no_tie():
    label, score, user = np.array([1, 0, 1, 0]), np.array([0.5, 0.5, 0.5, 0.1]), np.array([1, 1, 2, 2])
    assert grouped_auc(label, score, user).auc == (0.5 + 1) / 2


@given(st.lists(st.tuples(labels_and_scores, st.integers(0, 5)), min_size=1, max_size=80))
def test_grouped_auc_is_the_mean_of_scikit_learns(triples):
    label, score, user = np.array([(*pair, of) for pair, of in triples]).T
    both = [of for of in np.unique(user) if len(np.unique(label[user == of])) == 2]
    found = grouped_auc(label, score, user)
    covered = sum((user == of).sum() for of in both)
    assert (found.groups, found.rows_share) == (len(both), pytest.approx(covered / len(user)))
    if both:
        parts = [(user == of).sum() * roc_auc_score(label[user == of], score[user == of]) for of in both]
        assert found.auc == pytest.approx(sum(parts) / covered, abs=1e-12)
    else:
        assert np.isnan(found.auc)


def test_no_rows_have_no_grouped_auc():
    found = grouped_auc(np.empty(0, np.int8), np.empty(0), np.empty(0, np.int32))
    assert np.isnan(found.auc)
    assert found[1:] == (0.0, 0)


def test_calibration_compares_mean_prediction_and_share_of_clicks():
    # 20 rows in ten bins of two; both rows of the highest bin are clicks, predicted .95 on average.
    score = np.arange(20) / 20
    label = (np.arange(20) >= 18).astype(int)
    bins = metrics.calibration(label, score)
    assert [bin_["rows"] for bin_ in bins] == [2] * 10
    assert bins[-1] == {
        "rows": 2, "mean_prediction": pytest.approx(0.925), "click_share": 1.0, "standard_error": 0.0
    }  # fmt: skip
    gaps = [np.mean(score[2 * i : 2 * i + 2]) for i in range(9)] + [1 - 0.925]
    assert metrics.calibration_error(bins) == pytest.approx(np.mean(gaps))


def test_equal_predictions_stay_in_one_bin():
    bins = metrics.calibration(np.array([1, 0, 0, 0]), np.full(4, 0.25))
    assert bins == [
        {"rows": 4, "mean_prediction": 0.25, "click_share": 0.25, "standard_error": pytest.approx(0.75**0.5 / 4)}
    ]
    assert metrics.calibration_error(bins) == 0


def test_predicted_clicks_are_counted_against_clicks():
    assert metrics.predicted_per_click(np.array([1, 0, 0]), np.array([0.75, 0.5, 0.25])) == 1.5
    assert np.isnan(metrics.predicted_per_click(np.array([0, 0]), np.array([0.75, 0.5])))
