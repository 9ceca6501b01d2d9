"""Lists of item ids of many lengths as two flat arrays: ``offsets`` ``[n + 1]`` int64 and ``items`` int32.

List i is ``items[offsets[i]:offsets[i + 1]]``, oldest click first.
"""

from __future__ import annotations

import numpy as np


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Offsets of lists with these lengths: ``[n + 1]`` int64, first 0."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def late_zeros(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Positions of zeros that stand to the right of an item in their list: no left padding has them.

    Only the first zero after each item is named, which is enough to name the list.
    """
    real = values != 0
    falls = np.flatnonzero(real[:-1] & ~real[1:]) + 1
    return falls[~np.isin(falls, offsets)]  # a fall at the start of a list is its own padding


def strip_padding(values: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take the zeros out of left-padded lists: new offsets, and items as int32."""
    real = np.flatnonzero(values)
    return np.searchsorted(real, offsets).astype(np.int64), values[real].astype(np.int32)


def keep_newest(offsets: np.ndarray, items: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the last ``most`` items of every list."""
    lengths = np.diff(offsets)
    if not (lengths > most).any():
        return offsets, items
    newer = np.repeat(offsets[1:], lengths) - np.arange(len(items))  # 1 for the newest of a list
    return offsets_of(np.minimum(lengths, most)), items[newer <= most]


def pad_left(offsets: np.ndarray, items: np.ndarray, width: int) -> np.ndarray:
    """The lists as one table ``[n, width]`` int32, zeros on the left. No list may be longer than that."""
    lengths = np.diff(offsets)
    table = np.zeros((len(lengths), width), dtype=np.int32)
    table[np.arange(width) >= width - lengths[:, None]] = items
    return table


def take(offsets: np.ndarray, items: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lists at ``rows``, in that order."""
    lengths = np.diff(offsets)[rows]
    taken = offsets_of(lengths)
    places = np.arange(taken[-1]) + np.repeat(offsets[rows] - taken[:-1], lengths)
    return taken, items[places]
