"""The bootstrap over users, on data whose answer is known."""

import numpy as np
import pytest

from benchmarks.study.difference import difference
from mmctr_kedro.evaluation.bootstrap import Resamples
from mmctr_kedro.evaluation.metrics import auc

SEEDS = 5


def clicks_of(users: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Users ``[4 * users]`` and labels: one click of four each."""
    return np.repeat(np.arange(users), 4), rng.permuted(np.tile([1, 0, 0, 0], (users, 1)), axis=1).ravel()


def compared(user, label, ours, others, count=500):
    """The difference of two models, each with one prediction per seed."""
    drawn = Resamples(user, len(ours), count)
    point, aucs = [], []
    for scores in (ours, others):
        point.append(np.array([auc(label, score) for score in scores]))
        aucs.append(np.column_stack([drawn.aucs(label, score) for score in scores]))
    return difference(drawn, *point, *aucs)


def signal(label, strength, rng):
    """A score that knows a little of the label."""
    return strength * label + rng.normal(size=len(label))


def test_an_auc_of_a_resample_is_that_of_its_rows_written_out(rng):
    user, label = clicks_of(12, rng)
    score = rng.integers(0, 4, len(label)).astype(float)  # many ties
    drawn = Resamples(user, SEEDS, 20)
    for number, value in enumerate(drawn.aucs(label, score)):
        times = drawn.times_UB[user, number].astype(int)
        assert value == pytest.approx(auc(np.repeat(label, times), np.repeat(score, times)), abs=1e-12)


def test_two_users_by_hand():
    # User 0: click above its other (AUC 1); user 1: below (AUC 0); across users click 3 > other 2, click 1 < other 4.
    user, label, score = np.array([0, 0, 1, 1]), np.array([1, 0, 1, 0]), np.array([3.0, 2.0, 1.0, 4.0])
    drawn = Resamples(user, 1, 50)
    by_times = {(2, 0): 1.0, (0, 2): 0.0, (1, 1): 0.25}
    expected = [by_times[tuple(times)] for times in drawn.times_UB.T.astype(int).tolist()]
    assert drawn.aucs(label, score).tolist() == expected


def test_equal_predictions_differ_by_exactly_nothing(rng):
    user, label = clicks_of(40, rng)
    scores = [signal(label, 1, rng) for _ in range(SEEDS)]
    same = compared(user, label, scores, scores)
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    assert not same.excludes_zero


def test_a_clearly_better_model_excludes_zero_and_so_does_a_worse_one(rng):
    user, label = clicks_of(200, rng)
    good, bad = ([signal(label, strength, rng) for _ in range(SEEDS)] for strength in (2.0, 0.5))
    better, worse = compared(user, label, good, bad), compared(user, label, bad, good)
    assert better.low > 0.1
    assert (worse.mean, worse.low, worse.high) == pytest.approx((-better.mean, -better.high, -better.low))


def test_a_tie_includes_zero(rng):
    user, label = clicks_of(200, rng)
    common = signal(label, 1, rng)
    ours, others = ([common + 0.3 * rng.normal(size=len(label)) for _ in range(SEEDS)] for _ in range(2))
    assert not compared(user, label, ours, others).excludes_zero


def test_seeds_that_disagree_widen_the_interval(rng):
    user, label = clicks_of(400, rng)
    base = [signal(label, 1, rng) for _ in range(SEEDS)]
    even = [score + 0.3 * label for score in base]
    uneven = [score + lift * label for score, lift in zip(base, (-0.6, 0, 0.3, 0.6, 1.2), strict=True)]
    narrow, wide = compared(user, label, even, base), compared(user, label, uneven, base)
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_the_interval_covers_the_truth_about_as_often_as_it_says(rng):
    covered = 0
    for _ in range(100):
        user, label = clicks_of(60, rng)
        ours, others = ([signal(label, 1, rng) for _ in range(SEEDS)] for _ in range(2))
        covered += not compared(user, label, ours, others, count=200).excludes_zero
    assert covered >= 85  # 95 of 100 are promised; percentiles of five seeds give a little less


@pytest.fixture
def rng():
    return np.random.default_rng(7)
