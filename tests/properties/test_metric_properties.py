"""Measures do not depend on what they must not depend on, and are those of scikit-learn or of a slow loop."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score, roc_curve

from mmctr_kedro.evaluation import metrics
from mmctr_kedro.evaluation.metrics import auc, auc_standard_error, grouped_auc, logloss
from mmctr_kedro.evaluation.slices import roc

quick = settings(max_examples=100, deadline=None, derandomize=True)
# Few values, so that ties are the rule; and any float32 there is, down to the smallest.
TIED = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
ANY = st.floats(0, 1, width=32)
SCORE = TIED | ANY
BOTH = st.lists(st.tuples(st.integers(0, 1), SCORE), min_size=2, max_size=60).filter(
    lambda rows: {label for label, _ in rows} == {0, 1}
)


def arrays(rows) -> tuple[np.ndarray, np.ndarray]:
    label, score = zip(*rows, strict=True)
    return np.array(label, np.int8), np.array(score, np.float32)


@quick
@given(BOTH, st.randoms(use_true_random=False))
def test_auc_is_the_share_of_pairs_in_the_right_order_whatever_the_order_of_rows(rows, random):
    label, score = arrays(rows)
    pairs = [(float(a), float(b)) for a in score[label == 1] for b in score[label == 0]]
    expected = sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    assert auc(label, score) == pytest.approx(expected, abs=1e-12)
    random.shuffle(rows)
    assert auc(*arrays(rows)) == auc(label, score)


@quick
@given(BOTH)
def test_auc_sees_only_the_order_of_scores(rows):
    """Ranks and what rises with them score alike, and so does every row twice; the other way round is the rest."""
    label, score = arrays(rows)
    rank = np.unique(score, return_inverse=True)[1]
    for same in (rank, 1 / (1 + np.exp(-(rank - 3.0) / 40)), rank.astype(np.float64) ** 3 - 1e6):
        assert auc(label, same) == auc(label, score)
    assert auc(np.tile(label, 2), np.tile(score, 2)) == auc(label, score)
    assert auc(1 - label, score) == pytest.approx(1 - auc(label, score), abs=1e-12)
    assert auc(label, -rank) == pytest.approx(1 - auc(label, score), abs=1e-12)
    assert auc(label, np.zeros(len(label))) == 0.5


@quick
@given(BOTH)
def test_neighbouring_float32_scores_are_no_ties(rows):
    """scikit-learn reads the float32 as float64 and must find the same order."""
    label, score = arrays(rows)
    near = np.where(label == 1, np.nextafter(score, np.float32(2)), score)
    for found in (score, near):
        assert auc(label, found) == pytest.approx(roc_auc_score(label, found.astype(np.float64)), abs=1e-12)


@quick
@given(BOTH)
def test_the_standard_error_is_that_of_a_slow_loop_over_pairs(rows):
    """DeLong et al. (1988): variances of each row's own share of won pairs."""
    label, score = arrays(rows)
    clicks, others = score[label == 1].tolist(), score[label == 0].tolist()
    assume(min(len(clicks), len(others)) > 1)
    wins = [[(a > b) + (a == b) / 2 for b in others] for a in clicks]
    of_click = [sum(row) / len(others) for row in wins]
    of_other = [sum(column) / len(clicks) for column in zip(*wins, strict=True)]
    variance = sum(np.var(part, ddof=1) / len(part) for part in (of_click, of_other))
    assert auc_standard_error(label, score) == pytest.approx(math.sqrt(variance), abs=1e-9)


@quick
@given(st.lists(st.tuples(st.integers(0, 1), SCORE, st.integers(0, 4)), min_size=1, max_size=60), st.data())
def test_grouped_auc_depends_on_no_order_and_on_no_name_of_a_group(rows, data):
    label, score, group = (np.array(column) for column in zip(*rows, strict=True))
    found = grouped_auc(label, score, group)
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    for other in (
        grouped_auc(label[order], score[order], group[order]),
        grouped_auc(label, score, 7 - 3 * group),
        grouped_auc(
            label, np.unique(score, return_inverse=True)[1] + group * 1_000, group
        ),  # or anywhere above another
    ):
        assert other == pytest.approx(found, abs=1e-12, nan_ok=True)


@quick
@given(BOTH)
def test_grouped_auc_of_one_group_is_auc_and_more_groups_of_one_label_change_nothing(rows):
    label, score = arrays(rows)
    alone = grouped_auc(label, score, np.full(len(label), 9))
    assert alone == pytest.approx((auc(label, score), 1.0, 1), abs=1e-12)
    more = grouped_auc(
        np.append(label, [1, 1]), np.append(score, [0.5, 0.9]), np.append(np.full(len(label), 9), [1, 2])
    )
    assert (more.auc, more.groups) == (pytest.approx(alone.auc, abs=1e-12), 1)
    assert more.rows_share == pytest.approx(len(label) / (len(label) + 2))


@quick
@given(BOTH)
def test_logloss_is_scikit_learns_for_any_float32(rows):
    label, score = arrays(rows)
    assert logloss(label, score) == pytest.approx(log_loss(label, score), rel=1e-5, abs=1e-7)
    assert logloss(1 - label, 1 - score.astype(np.float64)) == pytest.approx(
        logloss(label, score.astype(np.float64)), rel=1e-6, abs=1e-9
    )


@quick
@given(BOTH, st.data())
def test_calibration_bins_hold_every_row_once_in_order_of_score(rows, data):
    label, score = arrays(rows)
    bins = metrics.calibration(label, score)
    assert len(bins) <= metrics.CALIBRATION_BINS
    order = np.argsort(score, kind="stable")
    edges = np.cumsum([0] + [bin_["rows"] for bin_ in bins])
    assert edges[-1] == len(label)
    for (a, b), bin_ in zip(pairwise(edges), bins, strict=True):
        own = order[a:b]
        assert bin_["mean_prediction"] == pytest.approx(score[own].astype(np.float64).mean(), abs=1e-9)
        assert bin_["click_share"] == pytest.approx(label[own].mean(), abs=1e-12)
        assert b == len(label) or score[order[b - 1]] < score[order[b]]  # equal scores share a bin
    expected = sum(bin_["rows"] * abs(bin_["mean_prediction"] - bin_["click_share"]) for bin_ in bins) / len(label)
    assert metrics.calibration_error(bins) == pytest.approx(expected, abs=1e-12)
    shuffled = np.array(data.draw(st.permutations(range(len(label)))))
    again = metrics.calibration(label[shuffled], score[shuffled])
    assert [list(bin_.values()) for bin_ in again] == [pytest.approx(list(bin_.values())) for bin_ in bins]


@quick
@given(BOTH)
def test_predicted_per_click_is_a_ratio_of_sums(rows):
    label, score = arrays(rows)
    expected = math.fsum(score.tolist()) / int(label.sum())
    assert metrics.predicted_per_click(label, score) == pytest.approx(expected, rel=1e-9)


@quick
@given(BOTH)
def test_the_roc_curve_is_scikit_learns_with_any_ties(rows):
    label, score = arrays(rows)
    false_positive, true_positive, _ = roc_curve(label, score, drop_intermediate=False)
    grid, drawn = roc(label, score).values()
    assert drawn[1:] == pytest.approx(np.interp(grid[1:], false_positive, true_positive), abs=1e-5)
    assert (np.diff(drawn) >= -1e-12).all()
    assert (drawn[0], drawn[-1]) == (0, pytest.approx(1))
