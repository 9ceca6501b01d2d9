"""Pieces earn their place on valid rows: beside trainings whose predictions are scripted."""

import numpy as np
import pytest

from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.training.comparing import Training, compare_pieces

USERS = 300


@pytest.fixture
def valid(clicks):
    return clicks(4 * USERS, seed=9)


def scripted(valid, worth):
    """Trains in no time: the score knows the label by what the pieces that are on are worth; the noise is shared."""
    noise, trained = np.random.default_rng(1).normal(size=len(valid)), []

    def train(params):
        on = {"levels": params.model.levels, "popularity": params.model.popularity, "co-clicks": params.model.co_clicks}
        on |= {"record": params.model.record == "counted", "absorbed record": params.model.record == "absorbed"}
        strength = 1 + sum(value for name, value in worth.items() if on[name])
        trained.append(params.model)
        return Training(params, {}, [], (strength * valid.label + noise).astype(np.float32))

    return train, trained


def settings(**more):
    return CtrParams(model={"name": "evidence", **more})


def test_pieces_that_valid_gains_by_are_kept_and_others_are_not(valid):
    train, trained = scripted(valid, {"levels": 1.0, "popularity": 0.5, "co-clicks": -0.5, "record": -0.5})
    kept, compared = compare_pieces(settings(), valid, train)
    found = {entry["piece"]: entry for entry in compared}
    assert {name for name, entry in found.items() if entry["kept"]} == {"levels", "popularity"}
    assert kept.params.model.counted == ["taste", "levels", "popularity"]
    assert kept.params.model.record == "off"  # it was worth nothing, so the simpler model stays
    assert len(trained) == 6  # the first, and one for each comparison
    for entry in compared:
        assert entry["gain"] == pytest.approx(entry["auc_with"] - entry["auc_without"], abs=1e-12)
        assert entry["kept"] == (entry["gain"] > 2 * entry["standard_error"])
    assert found["levels"]["auc_with"] == auc(valid.label, train(settings()).pctr)


def test_the_standard_error_is_that_of_users_drawn_again(valid):
    train, _ = scripted(valid, {"levels": 0.3})
    (entry, *_), label = compare_pieces(settings(), valid, train)[1], np.asarray(valid.label)
    scores = [train(settings(levels=on)).pctr for on in (True, False)]
    rng, differences = np.random.default_rng(5), []
    users = [np.flatnonzero(valid.user == user) for user in np.unique(valid.user)]
    for _ in range(300):
        rows = np.concatenate([users[user] for user in rng.integers(len(users), size=len(users))])
        differences.append(auc(label[rows], scores[0][rows]) - auc(label[rows], scores[1][rows]))
    assert entry["standard_error"] == pytest.approx(np.std(differences), rel=0.2)


def test_a_model_without_pieces_is_trained_once(valid):
    train, trained = scripted(valid, {})
    kept, compared = compare_pieces(settings(compare=False), valid, train)
    assert (len(trained), compared) == (1, [])
    assert kept.params == settings(compare=False)
