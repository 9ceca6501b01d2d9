"""A search for settings: budget, early ends, resumption, workers, and what it says of itself."""

import os
import signal
import time

import numpy as np
import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.reports.tuning_page import write_tuning_report
from mmctr_kedro.training import trained_model
from mmctr_kedro.tuning import search as module
from mmctr_kedro.tuning.search import best_of, draw
from mmctr_kedro.tuning.spaces import FIXED, with_values
from tests.tuning.conftest import DATA, PARAMS


def test_the_search_starts_from_published_values_and_ends_with_its_budget(find_settings):
    tuning, study = find_settings(seeds=1)
    assert [trial["from"] for trial in tuning["trials"]] == [
        "this run's", "the authors'", "conf/base", "conf/microlens", "search", "search"
    ]  # fmt: skip
    assert all(trial.params.keys() == FIXED.keys() for trial in study.trials)
    assert all(auc is not None for auc in tuning["starts"].values())
    again, _ = find_settings(seeds=1)
    assert again == tuning  # nothing is left of the budget, so nothing is done


def test_what_it_found_gives_the_same_auc_bit_for_bit(found):
    tuning, _ = found
    params = type(PARAMS).model_validate(tuning["settings"])
    _, history = trained_model.train(*DATA, params)
    assert max(entry["valid_auc"] for entry in history) == tuning["found"]["auc"]


def test_bad_trials_end_early_and_starts_do_not(find_settings, monkeypatch):
    trained = []
    train = trained_model.train

    def counting(*data, after_evaluation=None, **more):
        model, history = None, []
        try:
            model, history = train(*data, after_evaluation=after_evaluation, **more)
        finally:
            trained.append(len(history))
        return model, history

    monkeypatch.setattr(trained_model, "train", counting)
    tuning, _ = find_settings(trials=10)
    ended = [trial for trial in tuning["trials"] if trial["became"] == "pruned"]
    assert ended
    assert all(trial["evaluations"] < PARAMS.epochs and trial["from"] == "search" for trial in ended)
    assert trained.count(0) == len(ended)  # those trainings never came to their end


def test_the_last_few_are_repeated_with_other_seeds_and_the_best_on_average_is_found(find_settings):
    tuning, study = find_settings(trials=4, seeds=3)
    finalists = tuning["finalists"]
    assert [of["trainings"] for of in finalists] == [3, 3]
    assert tuning["found"]["trial"] == max(finalists, key=lambda of: of["mean"])["trial"]
    first = study.trials[finalists[0]["trial"]]
    histories = [
        trained_model.train(*DATA, with_values(PARAMS, first.params | {"seed": PARAMS.seed + n}))[1] for n in range(3)
    ]
    assert finalists[0]["mean"] == np.mean([max(entry["valid_auc"] for entry in history) for history in histories])


def test_a_killed_search_goes_on_and_tries_again_what_was_cut_off(find_settings, in_a_child, monkeypatch):
    monkeypatch.setattr(module, "HEARTBEAT", 1)
    monkeypatch.setattr(module, "SILENCE", 1)

    def killed_in_its_third_trial():
        kill = lambda history: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
        train, count = trained_model.train, iter(range(9))
        monkeypatch.setattr(
            trained_model,
            "train",
            lambda *data, after_evaluation: train(
                *data, after_evaluation=kill if next(count) == 2 else after_evaluation
            ),
        )
        find_settings()

    assert in_a_child(killed_in_its_third_trial) == -signal.SIGKILL
    time.sleep(2.5)  # its silence is noticed
    tuning, study = find_settings(trials=5)
    became = [trial["became"] for trial in tuning["trials"]]
    assert became[:3] == ["complete", "complete", "fail"]
    assert len(became) == 5
    retried = next(trial for trial in study.trials if trial.system_attrs.get("failed_trial") == 2)
    assert retried.params == study.trials[2].params
    assert retried.state.name == "COMPLETE"


def test_what_ctrl_c_cut_off_is_tried_again(find_settings, monkeypatch):
    def interrupted(*data, after_evaluation=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trained_model, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            find_settings(trials=4)
    tuning, study = find_settings(trials=6)
    assert study.trials[0].state.name == "FAIL"
    assert any(of.params == study.trials[0].params and of.state.name == "COMPLETE" for of in study.trials)
    assert tuning["starts"]["this run's"]


def test_a_budget_of_time_ends_it(find_settings):
    tuning, _ = find_settings(minutes=0.03, trials=10_000)
    assert 0 < len(tuning["trials"]) < 10_000


@pytest.mark.slow
def test_workers_share_one_study(find_settings):
    tuning, study = find_settings(workers=2, trials=40)
    assert 40 <= len(tuning["trials"]) <= 41
    assert sorted(trial.number for trial in study.trials) == list(range(len(study.trials)))


def test_trials_that_diverge_do_not_end_the_search_and_none_left_is_an_error(find_settings, monkeypatch):
    def diverging(*data, after_evaluation=None):
        raise MmctrError("The loss became nan")

    monkeypatch.setattr(trained_model, "train", diverging)
    with pytest.raises(MmctrError, match=r"No trial came to its end. The loss became nan"):
        find_settings()


@pytest.mark.parametrize("trials", [2, 20, 200])
def test_luck_is_the_expected_largest_of_as_many_normal_numbers(trials):
    drawn = np.random.default_rng(0).standard_normal((20_000, trials)).max(axis=1).mean()
    assert best_of(trials) == pytest.approx(drawn, abs=0.02)


def test_the_page_says_by_how_much_the_rows_mislead_what_mattered_and_auc_by_slice(found):
    tuning, study = found
    assert tuning["optimism"] == best_of(6) * tuning["found"]["auc_standard_error"]
    assert tuning["importances"].keys() <= FIXED.keys()
    page = write_tuning_report(tuning, draw(study), "task1")
    for part in ("80 valid rows mislead", 'id="importances"', 'id="values"', "clicks in the history", "kedro adopt"):
        assert part in page


def test_what_is_no_finalist_any_more_is_not_repeated(find_settings, monkeypatch):
    def interrupted(self, part):
        if part == module.REPEATS:
            raise KeyboardInterrupt

    find_settings(trials=4, seeds=1)
    with monkeypatch.context() as patch:
        patch.setattr(module.Search, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            find_settings(trials=4)  # two finalists wait
    one, _ = find_settings(trials=4, finalists=1)
    assert [of["trainings"] for of in one["finalists"]] == [2]
    two, _ = find_settings(trials=4)
    assert [of["trainings"] for of in two["finalists"]] == [2, 2]
