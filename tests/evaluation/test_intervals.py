"""Intervals of AUCs, by drawing users again."""

import json

import numpy as np
import pytest

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation.bootstrap import LEAST_USERS, Resamples
from mmctr_kedro.evaluation.evaluate import evaluate
from mmctr_kedro.evaluation.metrics import auc, auc_of_groups, grouped_auc


@pytest.fixture
def rows():
    """Users, labels and scores of 40 users with four rows each, one of them a click, in any order of rows."""
    rng = np.random.default_rng(3)
    label = rng.permuted(np.tile([1, 0, 0, 0], (40, 1)), axis=1).ravel()
    order = rng.permutation(160)
    return np.repeat(np.arange(40), 4)[order], label[order], (label + rng.normal(size=160))[order].round(1)


def clicks_of(user: np.ndarray, label: np.ndarray) -> Clicks:
    """Rows of users 0 to 39, all of one item after one click."""
    return Clicks(
        history_user=np.arange(40), history_offsets=np.arange(41), history_items=np.ones(40, np.int32), history=user,
        item=np.ones(160, np.int32), likes_level=np.ones(160, np.int8), views_level=np.ones(160, np.int8),
        row_id=np.arange(160), label=label.astype(np.int8),
    )  # fmt: skip


def written_out(drawn: Resamples, number: int) -> np.ndarray:
    """The rows of a resample, each as often as it occurs, by a plain loop."""
    return np.array([row for row, user in enumerate(drawn.user) for _ in range(drawn.times_UB[user, number])], int)


def test_an_interval_is_that_of_a_slow_loop(rows):
    user, label, score = rows
    drawn = Resamples(user, 1, 200)
    aucs = [auc(label[again], score[again]) for again in (written_out(drawn, number) for number in range(200))]
    assert drawn.auc(label, score).interval == pytest.approx(np.percentile(aucs, [2.5, 97.5]).tolist())


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
    (low, high), (lower, higher) = (drawn.auc(*copies).interval for drawn in (apart, together))
    assert higher - lower > 1.5 * (high - low)


def test_an_interval_is_of_those_users_that_have_a_click_and_those_that_have_another_row(rows):
    user, label, score = rows
    drawn = Resamples(user, 1, 50)
    for kind in (1, 0):
        of_kind = np.where(user < LEAST_USERS, label, 1 - kind)  # the rest of the 40 users have none
        assert drawn.auc(of_kind, score).interval is not None
        without_one = np.where(user == 0, 1 - kind, of_kind)
        assert drawn.auc(without_one, score).interval is None


def test_few_clicks_among_many_users_and_many_clicks_of_one_user_have_no_interval():
    rng = np.random.default_rng(0)
    drawn, label = Resamples(np.arange(2500), 1, 50), np.zeros(2500, int)
    label[:4] = 1
    assert drawn.auc(label, rng.random(2500)).interval is None
    of_one = np.r_[np.zeros(20, int), np.arange(1, 300)]
    label = (of_one == 0).astype(int)
    drawn = Resamples(of_one, 1, 50)
    difference = drawn.auc(label, rng.random(319)) - drawn.auc(label, rng.random(319))
    assert difference.interval is None


def test_the_auc_within_users_has_an_interval_from_enough_users_with_both_labels(rows):
    user, label, score = rows
    pctr = (1 / (1 + np.exp(-score))).astype(np.float32)
    for both, there in ((LEAST_USERS, True), (LEAST_USERS - 1, False)):
        clicks = clicks_of(user, np.where(user < both, label, user % 2))
        found = evaluate(clicks, pctr, clicks)
        assert found["gauc_users"] == both
        assert (found["gauc_interval"] is not None) == there
        assert found["auc_interval"] is not None


def test_without_resamples_there_is_no_interval_and_all_else_is_the_same(rows):
    user, label, score = rows
    clicks, pctr = clicks_of(user, label), (1 / (1 + np.exp(-score))).astype(np.float32)
    found, without = evaluate(clicks, pctr, clicks), evaluate(clicks, pctr, clicks, resamples=0)
    blanked = json.loads(
        json.dumps(found), object_hook=lambda of: of | {name: None for name in of if name.endswith("_interval")}
    )
    assert json.loads(json.dumps(without)) == blanked != found


@pytest.mark.parametrize("of_a_slice", [False, True])
def test_a_paired_interval_is_that_of_a_slow_loop_over_the_resamples(rows, of_a_slice):
    user, label, ours = rows
    others = ours[::-1] + 0.5 * label
    drawn, some = Resamples(user, 1, 60), user < 30 if of_a_slice else np.ones(160, bool)
    of = drawn.of(some)
    found = of.auc(label[some], ours[some]) - of.auc(label[some], others[some])
    slow = []
    for number in range(60):
        again = np.repeat(np.arange(160), drawn.times_UB[drawn.user, number] * some)
        slow.append(auc(label[again], ours[again]) - auc(label[again], others[again]))
    assert found.value == pytest.approx(auc(label[some], ours[some]) - auc(label[some], others[some]))
    assert found.interval == pytest.approx(np.percentile(slow, [2.5, 97.5]).tolist())


def test_equal_predictions_differ_by_nothing_and_pairing_narrows_the_interval(rows):
    user, label, score = rows
    drawn, others = Resamples(user), Resamples(user, seed=1)
    same = drawn.auc(label, score) - drawn.auc(label, score)
    assert (same.value, same.interval) == (0, [0, 0])
    close = score + 0.01 * np.random.default_rng(3).normal(size=160)
    (low, high), (alone_low, alone_high) = (
        (of.auc(label, close) - drawn.auc(label, score)).interval for of in (drawn, others)
    )
    assert high - low < 0.1 * (alone_high - alone_low)


def test_every_auc_has_its_interval_around_it_and_the_same_each_time(rows):
    user, label, score = rows
    clicks = clicks_of(user, label)
    pctr = (1 / (1 + np.exp(-score))).astype(np.float32)
    found = evaluate(clicks, pctr, clicks)
    for of in (found, *found["auc_by_popularity_decile"], *found["auc_by_history_length"]):
        low, high = of["auc_interval"]
        assert 0.5 < low < of["auc"] < high < 1
    assert found["gauc_interval"][0] < found["gauc"] < found["gauc_interval"][1]
    assert found["users"] == 40
    assert found == evaluate(clicks, pctr, clicks)
