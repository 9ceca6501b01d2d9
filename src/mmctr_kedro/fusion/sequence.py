"""The content tower, taught to say what comes next: its vectors go through a recurrent layer that reads a history.

GRU4Rec (Hidasi et al., 2016, arXiv:1511.06939) with items known by content instead of by id: an item enters the
history, and is looked for at its end, as the tower's one vector. So the vector of an item that nobody clicked comes
from the same tower as that of a popular one. The loss is a softmax over the distinct items of a batch with their log
frequency subtracted (Yi et al., RecSys 2019).

Histories of ``ItemInputs.train`` and the items clicked in train rows are all it reads, and it stops by users it never
learns from. S sequences of a batch, P of their places, U distinct items, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.machine import reproducible
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.jagged import keep_newest, offsets_of, strip_padding
from mmctr_kedro.fusion.histories import held_out_users
from mmctr_kedro.fusion.inputs import Fused, ItemInputs
from mmctr_kedro.fusion.settings import EmbeddingParams, SequenceParams
from mmctr_kedro.fusion.tower import ContentTower, fit, log_frequency

WATCHED_HISTORIES = 4096  # of held-out users, after every epoch
CHUNK = 20  # batches whose histories are sorted by length together


@dataclass(frozen=True)
class Sequences:
    """S histories, each with the click that followed it where a train row tells; jagged, oldest click first.

    Sequence s is ``items[offsets[s]:offsets[s + 1]]``. Of a user's several histories, which hold each other in a log
    split by time, the longest is predicted whole and the others at their last place only.
    """

    items: np.ndarray  # [sum of lengths] int64, item ids 1..N
    offsets: np.ndarray  # [S + 1] int64
    user: np.ndarray  # [S] int64
    whole: np.ndarray  # [S] bool

    def __len__(self) -> int:
        return len(self.user)

    def of(self, rows: np.ndarray) -> Sequences:
        """These sequences, in this order."""
        lengths = np.diff(self.offsets)[rows]
        offsets = offsets_of(lengths)
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Sequences(self.items[places], offsets, self.user[rows], self.whole[rows])


class NextItem(nn.Module):
    """A recurrent layer over a history of the tower's vectors, and the vector it looks for at each place."""

    def __init__(self, tower: nn.Module, width: int, state: int) -> None:
        super().__init__()
        self.tower = tower
        self.reader = nn.GRU(width, state, batch_first=True)
        self.head = nn.Linear(state, width)

    def loss(self, batch: Sequences, frequency: Tensor, settings: SequenceParams) -> Tensor:
        """Mean cross entropy of picking the next item at every place, among the batch's that its user never clicked.

        Args:
            frequency: ``[N+1]``, log share of each item.
        """
        device = frequency.device
        items, index = np.unique(batch.items, return_inverse=True)
        lengths = np.diff(batch.offsets)
        row = np.repeat(np.arange(len(batch)), lengths)
        first = np.zeros(len(row), dtype=bool)
        first[batch.offsets[:-1]] = True
        target = np.flatnonzero(~first & (batch.whole[row] | np.append(first[1:], True)))  # places to be predicted
        item_U = torch.from_numpy(items).to(device)
        index_P = torch.from_numpy(index).to(device)
        vectors_UW = self.tower(item_U)
        packed = pack_sequence([vectors_UW[part] for part in index_P.split(lengths.tolist())], enforce_sorted=False)
        state, _ = pad_packed_sequence(self.reader(packed)[0], batch_first=True)
        place = torch.from_numpy(target - batch.offsets[row[target]] - 1).to(device)  # what is known before the target
        asked = F.normalize(self.head(state[torch.from_numpy(row[target]).to(device), place]), dim=-1)
        scores = asked @ vectors_UW.t() / settings.temperature - settings.popularity_correction * frequency[item_U]
        wanted = index_P[torch.from_numpy(target).to(device)]
        own = torch.zeros(len(batch), len(items), dtype=torch.bool, device=device)
        own[torch.from_numpy(row).to(device), index_P] = True
        clicked = own[torch.from_numpy(row[target]).to(device)].scatter(1, wanted.unsqueeze(1), value=False)
        return F.cross_entropy(scores.masked_fill(clicked, float("-inf")), wanted)


def fuse(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """Train tower and recurrent layer, and send every item through the tower: ``[N, width]`` float32."""
    settings = params.sequence
    sequences = sequences_of(inputs.train, settings.recent)
    stops = np.isin(sequences.user, held_out_users(sequences.user, settings))
    learnt, held_out = np.flatnonzero(~stops), np.flatnonzero(stops)
    if not len(learnt) or not len(held_out):
        raise MmctrError(
            f"Variant 'sequence' learns from users of two clicks and more, but train has {len(learnt)} such histories "
            f"to learn from and {len(held_out)} to stop by. Choose another: --params embedding.variant=concat_pca"
        )
    with reproducible(settings) as device:
        tower = ContentTower(inputs, params.width, settings)
        model = NextItem(tower, params.width, settings.state).to(device)
        frequency = log_frequency(sequences.of(learnt).items, len(inputs.text), device)
        rng = np.random.default_rng(settings.seed)
        watched = batches_of(sequences, rng.permutation(held_out)[:WATCHED_HISTORIES], settings.batch_size)

        def epoch_batches() -> list[Sequences]:
            rows = rng.permutation(learnt)[: settings.histories_per_epoch]
            return batches_of(sequences, rows, settings.batch_size, rng)

        report = fit(
            "sequence", model, epoch_batches, lambda batch: model.loss(batch, frequency, settings), watched, settings
        )
        return tower.encode_all({"histories": len(learnt), "held_out_histories": len(held_out)} | report)


def sequences_of(train: Clicks, recent: int) -> Sequences:
    """Every history with the items clicked after it, one sequence for each such click, cut to its ``recent`` newest.

    A history that no row's click follows stands for itself; one click alone tells nothing and is left out.
    """
    clicked = np.flatnonzero(np.asarray(train.label) == 1)
    history = np.asarray(train.history)[clicked]
    alone = np.flatnonzero(~np.isin(np.arange(len(train.history_user)), history))
    owner, next_item = np.concatenate([history, alone]), np.concatenate([np.asarray(train.item)[clicked], 0 * alone])
    every = np.ones(len(train.history_user), dtype=bool)
    histories = Sequences(train.history_items, train.history_offsets, train.history_user, every).of(owner)
    # The click after it goes to each one's end; a 0, where there is none, is taken out like padding.
    items = np.insert(histories.items, histories.offsets[1:], next_item)
    offsets = histories.offsets + np.arange(len(histories) + 1)
    offsets, items = keep_newest(*strip_padding(items, offsets), recent)
    order = np.lexsort((np.diff(histories.offsets), histories.user))  # of a user's histories the longest comes last
    whole = np.zeros(len(order), dtype=bool)
    whole[order] = np.append(np.diff(histories.user[order]) != 0, True)[: len(order)]
    sequences = Sequences(items.astype(np.int64), offsets, histories.user.astype(np.int64), whole)
    return sequences.of(np.flatnonzero(np.diff(offsets) >= 2))


def batches_of(
    sequences: Sequences, rows: np.ndarray, size: int, rng: np.random.Generator | None = None
) -> list[Sequences]:
    """Batches of histories of like length; with ``rng`` their order is shuffled."""
    lengths = np.diff(sequences.offsets)[rows]
    chunk = np.arange(len(rows)) // (CHUNK * size)
    rows = rows[np.lexsort((lengths, chunk))]
    starts = np.arange(0, len(rows), size)
    return [sequences.of(rows[start : start + size]) for start in (starts if rng is None else rng.permutation(starts))]
