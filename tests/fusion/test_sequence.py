"""The next-item model reads whole histories of train, and its items by content alone."""

import dataclasses

import numpy as np
import pytest
import torch

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.fusion import fuse
from mmctr_kedro.fusion.sequence import NextItem, Sequences, batches_of, sequences_of
from mmctr_kedro.fusion.settings import EmbeddingParams, SequenceParams

CONTROLS = {"hidden": 32, "state": 16, "batch_size": 32, "learning_rate": 5e-3, "threads": 1, "device": "cpu"}


def params(**settings) -> EmbeddingParams:
    return EmbeddingParams(variant="sequence", width=8, sequence={**CONTROLS, "epochs": 8, **settings})


def lists(sequences: Sequences) -> list[list[int]]:
    return [part.tolist() for part in np.split(sequences.items, sequences.offsets[1:-1])]


def test_a_sequence_is_a_history_and_the_click_after_it_cut_to_the_newest(clicks):
    train = clicks([[1, 2, 3], [4], [], [5, 6, 7]], [(0, 9, 1), (0, 8, 0), (1, 7, 1), (2, 6, 1)])
    found = sequences_of(train, recent=3)
    assert lists(found) == [[2, 3, 9], [4, 7], [5, 6, 7]]  # one click alone tells nothing
    assert found.user.tolist() == [1, 2, 4]
    assert found.whole.all()


def test_of_histories_that_hold_each_other_only_the_longest_is_predicted_whole(clicks):
    nested = clicks([[1, 2], [1, 2, 3], [8, 9]], [(0, 3, 1), (1, 4, 1), (2, 5, 1)])
    nested = dataclasses.replace(nested, history_user=np.array([7, 7, 8], np.int32))
    found = sequences_of(nested, recent=10)
    assert lists(found) == [[1, 2, 3], [1, 2, 3, 4], [8, 9, 5]]
    assert found.whole.tolist() == [False, True, True]


def test_batches_hold_every_history_once_with_like_lengths_together():
    lengths = np.random.default_rng(1).integers(2, 9, 50)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    every = Sequences(np.arange(offsets[-1]), offsets, np.arange(50), np.ones(50, bool))
    batches = batches_of(every, np.arange(50), 8, np.random.default_rng(2))
    assert sorted(user for batch in batches for user in batch.user.tolist()) == list(range(50))
    assert all(np.ptp(np.diff(batch.offsets)) <= 2 for batch in batches)
    for batch in batches:
        for user, items in zip(batch.user.tolist(), lists(batch), strict=True):
            assert items == list(range(offsets[user], offsets[user + 1]))


def test_the_loss_is_the_cross_entropy_of_a_slow_loop():
    torch.manual_seed(1)
    settings = SequenceParams(temperature=0.5, modality_dropout=0, state=4)
    model = NextItem(torch.nn.Identity(), width=3, state=4)
    content = torch.nn.functional.normalize(torch.randn(6, 3), dim=1)
    model.tower.forward = lambda items: content[items - 1]
    frequency = torch.log(torch.tensor([1.0, 0.1, 0.2, 0.3, 0.15, 0.2, 0.05]))
    histories, whole = [[1, 2, 3], [4, 2], [5, 6, 1]], [True, True, False]
    batch = Sequences(
        np.concatenate(histories), np.array([0, 3, 5, 8]), np.arange(3), np.array(whole)
    )  # fmt: skip
    losses = []
    for items, all_places in zip(histories, whole, strict=True):
        states = model.reader(content[torch.tensor(items) - 1].unsqueeze(0))[0][0]
        for place in range(1, len(items)) if all_places else [len(items) - 1]:
            asked = torch.nn.functional.normalize(model.head(states[place - 1]), dim=-1)
            candidates = [item for item in range(1, 7) if item == items[place] or item not in items]
            scores = torch.stack([asked @ content[item - 1] / 0.5 - frequency[item] for item in candidates])
            losses.append(-torch.log_softmax(scores, 0)[candidates.index(items[place])].item())
    found = model.loss(batch, frequency, settings).item()
    assert found == pytest.approx(np.mean(losses), abs=1e-5)


def test_a_train_of_single_clicks_is_refused_with_the_way_out(inputs, clicks):
    lonely = dataclasses.replace(inputs, train=clicks([[1], [2]], [(0, 3, 0), (1, 4, 0)]))
    with pytest.raises(MmctrError, match=r"0 such histories.*variant=concat_pca"):
        fuse(params(), lonely)
