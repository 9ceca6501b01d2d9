"""Paired intervals, against the resamples written out row by row."""

import numpy as np
import pytest

from mmctr_kedro.evaluation import paired
from mmctr_kedro.evaluation.evaluate import evaluate
from mmctr_kedro.evaluation.metrics import auc
from tests.submission.made_runs import clicks, predictions, rows


@pytest.mark.parametrize("of_a_slice", [False, True])
def test_a_paired_interval_is_that_of_a_slow_loop_over_the_resamples(of_a_slice, monkeypatch):
    monkeypatch.setattr(paired, "RESAMPLES", 60)
    valid = clicks()
    ours, others, of = predictions(valid, 1.0), predictions(valid, 0.5, seed=2), rows(valid)
    drawn, some = paired.resamples(of), of.slices[paired.LENGTH, "20-29"] if of_a_slice else np.ones(len(valid), bool)
    chosen = some if of_a_slice else None
    found = paired.draw(of, ours, drawn, chosen) - paired.draw(of, others, drawn, chosen)
    slow = []
    for number in range(60):
        again = np.repeat(np.arange(len(of.label)), drawn.times_UB[of.user, number] * some)
        slow.append(auc(of.label[again], ours[again]) - auc(of.label[again], others[again]))
    assert found.auc == pytest.approx(auc(of.label[some], ours[some]) - auc(of.label[some], others[some]))
    assert found.interval() == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))


def test_equal_predictions_differ_by_nothing_and_pairing_narrows_the_interval():
    valid = clicks()
    ours, of = predictions(valid, 1.0), rows(valid)
    drawn, others = paired.resamples(of), paired.resamples(of, seed=1)
    same = paired.draw(of, ours, drawn) - paired.draw(of, ours, drawn)
    assert (same.auc, *same.interval()) == (0, 0, 0)
    close = ours + 0.01 * predictions(valid, 0, seed=3)
    low, high = (paired.draw(of, close, drawn) - paired.draw(of, ours, drawn)).interval()
    alone_low, alone_high = (paired.draw(of, close, others) - paired.draw(of, ours, drawn)).interval()
    assert high - low < 0.1 * (alone_high - alone_low)


def test_the_slices_are_those_of_the_report():
    valid, of = clicks(), rows(clicks())
    report = evaluate(valid, predictions(valid, 1.0), clicks(seed=9))
    counts = {name: int(chosen.sum()) for name, chosen in of.slices.items()}
    expected = {(paired.LENGTH, entry["bucket"]): entry["rows"] for entry in report["auc_by_history_length"]}
    expected |= {(paired.POPULARITY, entry["bucket"]): entry["rows"] for entry in report["auc_by_popularity_decile"]}
    expected[paired.POPULARITY, paired.UNSEEN] = report["auc_unseen_items"]["rows"]
    assert counts == {name: count for name, count in expected.items() if count}


def test_a_slice_without_twenty_clicks_and_twenty_others_is_not_judged():
    of = rows(clicks())
    some = np.zeros(len(of.label), bool)
    some[np.flatnonzero(of.label)[:19]] = some[np.flatnonzero(of.label == 0)[:50]] = True
    assert not paired.enough(of, some)
    some[np.flatnonzero(of.label)[:20]] = True
    assert paired.enough(of, some)
