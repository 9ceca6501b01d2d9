"""Intervals of AUCs, by drawing users again."""

import numpy as np
import pytest

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation.bootstrap import Resamples
from mmctr_kedro.evaluation.evaluate import evaluate
from mmctr_kedro.evaluation.metrics import auc, auc_of_groups, grouped_auc


@pytest.fixture
def rows():
    """Users, labels and scores of 40 users with four rows each, one of them a click, in any order of rows."""
    rng = np.random.default_rng(3)
    label = rng.permuted(np.tile([1, 0, 0, 0], (40, 1)), axis=1).ravel()
    order = rng.permutation(160)
    return np.repeat(np.arange(40), 4)[order], label[order], (label + rng.normal(size=160))[order].round(1)


def written_out(drawn: Resamples, number: int) -> np.ndarray:
    """The rows of a resample, each as often as it occurs, by a plain loop."""
    return np.array([row for row, user in enumerate(drawn.user) for _ in range(drawn.times_UB[user, number])], int)


def test_an_interval_is_that_of_a_slow_loop(rows):
    user, label, score = rows
    drawn = Resamples(user, 1, 200)
    aucs = [auc(label[again], score[again]) for again in (written_out(drawn, number) for number in range(200))]
    assert drawn.interval(drawn.aucs(label, score)) == pytest.approx(np.percentile(aucs, [2.5, 97.5]).tolist())


def test_some_rows_are_drawn_by_the_same_users_each_with_all_their_rows(rows):
    user, label, score = rows
    drawn, some = Resamples(user, 1, 20), score > 0.3
    for number, value in enumerate(drawn.of(some).aucs(label[some], score[some])):
        again = [row for row in written_out(drawn, number) if some[row]]
        assert value == pytest.approx(auc(label[again], score[again]))
    assert len(drawn.user) == 160  # the whole is left as it was


def test_the_auc_within_users_is_drawn_as_a_slow_loop_draws_it(rows):
    user, label, score = rows
    label = np.where(user < 3, 0, label)  # users of one class alone count nowhere
    drawn = Resamples(user, 1, 20)
    for number, value in enumerate(drawn.means(*auc_of_groups(label, score, user))):
        parts = [grouped_auc(label[user == one], score[user == one], user[user == one]).auc for one in range(40)]
        weights = [4 * drawn.times_UB[one, number] for one in range(40)]
        known = [one for one in range(40) if not np.isnan(parts[one]) and weights[one]]
        assert value == pytest.approx(np.average([parts[k] for k in known], weights=[weights[k] for k in known]))


def test_rows_of_one_user_widen_the_interval(rows):
    user, label, score = rows
    copies = [np.repeat(array, 5) for array in (label, score)]
    together = Resamples(np.repeat(user, 5), 1, 300)  # five times the rows, and nothing more is known
    apart = Resamples(np.arange(800), 1, 300)
    (low, high), (lower, higher) = (drawn.interval(drawn.aucs(*copies)) for drawn in (apart, together))
    assert higher - lower > 1.5 * (high - low)


def test_too_few_users_or_resamples_of_one_class_have_no_interval():
    user = np.arange(12)
    label, score = np.eye(12)[0], np.linspace(0, 1, 12)
    drawn = Resamples(user, 1, 200)
    assert drawn.interval(drawn.aucs(label, score)) is None  # a third of the resamples lack the only click
    nine = Resamples(user[:9], 1, 200)
    assert nine.interval(nine.aucs(np.arange(9) % 2, score[:9])) is None
    assert drawn.interval(drawn.aucs(np.arange(12) % 2, score)) is not None


def test_every_auc_has_its_interval_around_it_and_the_same_each_time(rows):
    user, label, score = rows
    clicks = Clicks(
        history_user=np.arange(40), history_offsets=np.arange(41), history_items=np.ones(40, np.int32), history=user,
        item=np.ones(160, np.int32), likes_level=np.ones(160, np.int8), views_level=np.ones(160, np.int8),
        row_id=np.arange(160), label=label.astype(np.int8),
    )  # fmt: skip
    pctr = (1 / (1 + np.exp(-score))).astype(np.float32)
    found = evaluate(clicks, pctr, clicks)
    for of in (found, *found["auc_by_popularity_decile"], *found["auc_by_history_length"]):
        low, high = of["auc_interval"]
        assert 0.5 < low < of["auc"] < high < 1
    assert found["gauc_interval"][0] < found["gauc"] < found["gauc_interval"][1]
    assert found["users"] == 40
    assert found == evaluate(clicks, pctr, clicks)
