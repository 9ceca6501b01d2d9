"""Lists of item ids of many lengths as two flat arrays: ``offsets`` ``[n + 1]`` int64 and ``items`` int32.

List i is ``items[offsets[i]:offsets[i + 1]]``, oldest click first.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Offsets of lists with these lengths: ``[n + 1]`` int64, first 0."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def positions(begin: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Positions of the values of lists that begin at ``begin`` ``[n]``, list after list: ``[sum of lengths]``."""
    ends = np.cumsum(lengths)
    return np.repeat(begin - (ends - lengths), lengths) + np.arange(lengths.sum())


def late_zeros(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Positions of zeros that stand to the right of an item in their list: no left padding has them.

    Only the first zero after each item is named, which is enough to name the list.
    """
    real = values != 0
    falls = np.flatnonzero(real[:-1] & ~real[1:]) + 1
    return falls[~np.isin(falls, offsets)]  # a fall at the start of a list is its own padding


def strip_padding(
    values: np.ndarray, offsets: np.ndarray, dtype: type[np.integer] = np.int32
) -> tuple[np.ndarray, np.ndarray]:
    """Take the zeros out of padded lists: new offsets, and items as ``dtype``, which is to hold them all."""
    real = np.flatnonzero(values)
    return np.searchsorted(real, offsets).astype(np.int64), values[real].astype(dtype)


def keep_newest(offsets: np.ndarray, items: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the last ``most`` items of every list."""
    lengths = np.minimum(np.diff(offsets), most)
    return offsets_of(lengths), items[positions(offsets[1:] - lengths, lengths)]


def encode_users_lists(user: np.ndarray, offsets: np.ndarray, items: np.ndarray) -> pa.DictionaryArray:
    """Lists and whose they are (``user`` ``[n]`` int32), each distinct pair once in Arrow's dictionary.

    The dictionary holds pairs in the order of their first appearance, as bytes: the user, then the items.
    """
    places = 4 * (offsets + np.arange(len(offsets)))  # of bytes: every list is longer by its user
    pairs = np.insert(items, offsets[:-1], user)
    buffers = [None, pa.py_buffer(places), pa.py_buffer(pairs)]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(user), buffers).dictionary_encode()


def distinct(parts: list[pa.DictionaryArray]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Each distinct (user, list) of all ``parts`` once, in order of first appearance.

    Returns:
        user ``[H]`` int32, offsets and items of the distinct lists; and ``[n]`` int32: which of them every list is.
    """
    unified = pa.chunked_array(parts).unify_dictionaries()
    which = np.concatenate([part.indices.to_numpy() for part in unified.chunks])
    _, places, pairs = unified.chunk(0).dictionary.buffers()
    starts = np.frombuffer(places, np.int64, len(unified.chunk(0).dictionary) + 1) // 4
    values = np.frombuffer(pairs, np.int32, starts[-1])
    return values[starts[:-1]], starts - np.arange(len(starts)), np.delete(values, starts[:-1]), which
