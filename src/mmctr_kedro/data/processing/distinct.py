"""Each distinct (user, history) once: a streaming, exact dedupe by 64-bit hashes that are then verified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmctr_kedro.data.processing.jagged import offsets_of, take


@dataclass(frozen=True)
class Histories:
    """n histories and their users: ``user`` int32, jagged ``offsets`` and ``items``, ``key`` uint64.

    Equal histories of one user have equal keys; unequal ones almost surely have not.
    """

    user: np.ndarray
    offsets: np.ndarray
    items: np.ndarray
    key: np.ndarray

    def take(self, rows: np.ndarray) -> Histories:
        """The histories at ``rows``, in that order."""
        return Histories(self.user[rows], *take(self.offsets, self.items, rows), self.key[rows])


def with_keys(user: np.ndarray, offsets: np.ndarray, items: np.ndarray) -> Histories:
    """Histories with the hash of user and items in order."""
    position = np.arange(len(items)) - np.repeat(offsets[:-1], np.diff(offsets))
    words = _mix(items.astype(np.uint64) ^ (position.astype(np.uint64) << np.uint64(32)))
    sums = np.zeros(len(items) + 1, dtype=np.uint64)
    np.cumsum(words, out=sums[1:])  # wraps around, and so does the difference
    key = _mix((sums[offsets[1:]] - sums[offsets[:-1]]) ^ _mix(user.astype(np.uint64)))
    return Histories(user, offsets, items, key)


def distinct(histories: Histories) -> tuple[Histories, np.ndarray]:
    """Each distinct (user, history) once, in order of first appearance.

    Returns:
        The distinct histories, H of them.
        ``[n]`` int32: which of them each given history equals.
    """
    _, first, group = np.unique(histories.key, return_index=True, return_inverse=True)
    if not _equal(histories, np.arange(len(histories.key)), first[group]):
        # Two unequal histories share a hash, as one data set in some 10^7 has: compare contents instead.
        first, group = _unique_by_content(histories)
    order = np.argsort(first)
    rank = np.empty(len(first), dtype=np.int32)
    rank[order] = np.arange(len(first), dtype=np.int32)
    found = histories if len(first) == len(group) else histories.take(first[order])
    return found, rank[group]


def concatenate(parts: list[Histories]) -> Histories:
    """All parts' histories, in order."""
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    user, items, key = (np.concatenate([getattr(part, name) for part in parts]) for name in ("user", "items", "key"))
    return Histories(user, offsets_of(lengths), items, key)


def _equal(histories: Histories, left: np.ndarray, right: np.ndarray) -> bool:
    """Whether histories ``left[i]`` and ``right[i]`` are the same for every i."""
    pairs = left != right
    a, b = histories.take(left[pairs]), histories.take(right[pairs])
    names = ("user", "offsets", "items")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def _unique_by_content(histories: Histories) -> tuple[np.ndarray, np.ndarray]:
    """First appearance of each distinct history, and each history's group; one by one, for collisions."""
    groups: dict[tuple[int, bytes], int] = {}
    first: list[int] = []
    group = np.empty(len(histories.user), dtype=np.int64)
    for row, user in enumerate(histories.user.tolist()):
        content = histories.items[histories.offsets[row] : histories.offsets[row + 1]].tobytes()
        group[row] = groups.setdefault((user, content), len(groups))
        if group[row] == len(first):
            first.append(row)
    return np.array(first, dtype=np.int64), group


def _mix(words: np.ndarray) -> np.ndarray:
    """Spread every bit of 64-bit words over all bits (splitmix64's finaliser, Steele et al. 2014)."""
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words
