"""The tower learns who is clicked with whom, from train alone, and from content alone."""

import dataclasses
import logging

import numpy as np
import pytest
import torch

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.fusion import fuse
from mmctr_kedro.fusion.behaviour_contrastive import contrastive_loss
from mmctr_kedro.fusion.histories import pairs_of
from mmctr_kedro.fusion.settings import BehaviourContrastiveParams, EmbeddingParams
from mmctr_kedro.fusion.tower import shown_modalities

CONTROLS = {"hidden": 32, "batch_size": 64, "learning_rate": 5e-3, "threads": 1, "device": "cpu"}


def params(**settings) -> EmbeddingParams:
    return EmbeddingParams(
        variant="behaviour_contrastive", width=8, behaviour_contrastive={**CONTROLS, "epochs": 8, **settings}
    )


def all_pairs(train, **settings) -> set[tuple[int, int]]:
    return {tuple(pair) for part in pairs_of(train, BehaviourContrastiveParams(**settings)) for pair in part.tolist()}


def test_pairs_are_neighbours_within_the_window_and_the_click_after_the_history(clicks):
    train = clicks([[1, 2, 3], [4], [], [5, 5]], [(0, 9, 1), (0, 8, 0), (1, 7, 1), (2, 6, 1)])
    assert all_pairs(train, window=1) == {(1, 2), (2, 3), (3, 9), (4, 7)}
    assert all_pairs(train, window=2) == {(1, 2), (2, 3), (3, 9), (4, 7), (1, 3), (2, 9)}
    assert (3, 4) not in all_pairs(train, window=3)  # two users


def test_a_pair_counts_once_a_user_however_many_histories_hold_it(clicks):
    nested = clicks([[1, 2], [1, 2, 3], [1, 2, 3]], [(0, 3, 1), (1, 4, 1), (2, 5, 0)])
    nested = dataclasses.replace(nested, history_user=np.array([7, 7, 8], np.int32))
    learnt, held_out = pairs_of(nested, BehaviourContrastiveParams(window=1, held_out=1e-9))
    assert sorted(map(tuple, learnt.tolist())) == [(1, 2), (1, 2), (2, 3), (2, 3), (3, 4)]
    assert not len(held_out)


def test_held_out_users_are_none_of_those_it_learns_from(clicks):
    """Every user clicks two items of their own."""
    train = clicks([[2 * user + 1, 2 * user + 2, 2 * user + 1] for user in range(200)], [(0, 1, 0)])
    learnt, held_out = pairs_of(train, BehaviourContrastiveParams(held_out=0.3, window=1))
    users = [set(((pairs - 1) // 2).ravel().tolist()) for pairs in (learnt, held_out)]
    assert not users[0] & users[1]
    assert 40 < len(users[1]) < 80
    assert len(users[0]) + len(users[1]) == 200


def test_a_row_that_was_skipped_teaches_nothing(inputs):
    train = inputs.train
    skipped = {
        name: np.concatenate([getattr(train, name), added]).astype(getattr(train, name).dtype)
        for name, added in {
            "history": [0, 1], "item": [3, 4], "likes_level": [1, 1], "views_level": [1, 1], "row_id": [998, 999],
            "label": [0, 0],
        }.items()
    }  # fmt: skip
    other = dataclasses.replace(inputs, train=dataclasses.replace(train, **skipped))
    assert fuse(params(epochs=1), other).vectors.tobytes() == fuse(params(epochs=1), inputs).vectors.tobytes()


def test_it_stops_by_held_out_users(inputs, caplog):
    with caplog.at_level(logging.INFO):
        fuse(params(epochs=50, patience=1, learning_rate=0.5), inputs)
    epochs = [record for record in caplog.records if "on held-out users" in record.getMessage()]
    assert len(epochs) < 50
    assert "1 of 1 before stopping" in epochs[-1].getMessage()


def test_a_train_without_neighbours_is_refused_with_the_way_out(inputs, clicks):
    lonely = dataclasses.replace(inputs, train=clicks([[1], [2]], [(0, 3, 0), (1, 4, 0)]))
    with pytest.raises(MmctrError, match=r"0 pairs to learn from.*variant=concat_pca"):
        fuse(params(), lonely)


@pytest.mark.parametrize(
    "pairs",
    [
        [[1, 2], [3, 4], [5, 2]],  # item 2 is wanted twice: it is no negative of itself
        [[1, 2], [2, 3], [3, 1]],  # items 2 and 3 are asked and wanted: an item is no negative of its own question
    ],
)
def test_the_loss_is_the_cross_entropy_of_a_slow_loop(pairs):
    pairs = np.array(pairs)
    settings = BehaviourContrastiveParams(temperature=0.5, modality_dropout=0)
    content = torch.nn.functional.normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    log_frequency = torch.log(torch.tensor([[1.0, 0.1, 0.3, 0.2, 0.25, 0.15], [1.0, 0.3, 0.1, 0.1, 0.2, 0.3]]))
    found = contrastive_loss(lambda items: content[items - 1], pairs, log_frequency, settings).item()
    total = 0.0
    for side, (asked, wanted) in enumerate(((pairs[:, 0], pairs[:, 1]), (pairs[:, 1], pairs[:, 0]))):
        frequency = log_frequency[1 - side]
        for row in range(3):
            others = [o for o in range(3) if o == row or wanted[o] not in (wanted[row], asked[row])]
            score = {
                o: (content[asked[row] - 1] @ content[wanted[o] - 1]).item() / 0.5 - frequency[wanted[o]].item()
                for o in others
            }
            total += (np.log(sum(np.exp(value) for value in score.values())) - score[row]) / 6
    assert found == pytest.approx(total, abs=1e-5)


def test_a_loss_that_is_not_finite_is_an_error_and_no_untrained_tower(inputs):
    with pytest.raises(MmctrError, match=r"became .* in epoch 1\. Lower .*learning_rate"):
        fuse(params(learning_rate=1e30), inputs)


def test_a_row_never_loses_more_than_one_modality():
    shown = shown_modalities(4000, torch.tensor([0, 0, 1, 1, 1]), 0.5)
    text, image = shown[:, 0], shown[:, 2]
    assert torch.equal(shown, torch.stack([text, text, image, image, image], dim=1))
    assert (text + image >= 1).all()
    assert (text + image == 1).float().mean().item() == pytest.approx(0.5, abs=0.05)
