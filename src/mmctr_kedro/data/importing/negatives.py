"""Items that a user never clicked, drawn to stand beside a click."""

from __future__ import annotations

import numpy as np

from mmctr_kedro.common.errors import MmctrError

TRIES = 30


class Negatives:
    """Draws items by a law, leaving out every item that the user clicks anywhere in the log.

    Each draw follows the law over all N items and is drawn again while the item is a click of the user or
    already stands in the same row. Whoever is still without after 30 tries (users who clicked nearly all
    that the law offers) gets a draw from the items left to them; where popularity offers too few, items that
    no one clicked in training time fill up.
    """

    def __init__(self, clicker: np.ndarray, clicked: np.ndarray, popularity: np.ndarray) -> None:
        """``clicker`` clicks ``clicked``, both ``[C]``; ``popularity``: clicks in training time, ``[N]``."""
        self.items = len(popularity)
        self.popularity = popularity.astype(np.float64)
        self.pairs = np.sort(self._pair(clicker, clicked))

    def _pair(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        return user.astype(np.int64) * (self.items + 1) + item

    def draw(self, user: np.ndarray, count: int, law: str, rng: np.random.Generator) -> np.ndarray:
        """``count`` distinct items for every entry of ``user`` ``[n]``: ``[n, count]`` int64 ids."""
        drawn = self._by_law((len(user), count), law, rng)
        pending = np.arange(len(user))
        for _ in range(TRIES):
            bad = self._is_bad(user[pending], drawn[pending])
            rows, columns = np.nonzero(bad)
            if not len(rows):
                return drawn
            drawn[pending[rows], columns] = self._by_law((len(rows),), law, rng)
            pending = pending[bad.any(axis=1)]
        for row in pending[self._is_bad(user[pending], drawn[pending]).any(axis=1)].tolist():
            drawn[row] = self._from_what_is_left(int(user[row]), count, law, rng)
        return drawn

    def _by_law(self, shape: tuple[int, ...], law: str, rng: np.random.Generator) -> np.ndarray:
        if law == "uniform":
            return rng.integers(1, self.items + 1, shape)
        cumulated = np.cumsum(self.popularity)
        return np.searchsorted(cumulated, rng.random(shape) * cumulated[-1], side="right") + 1

    def _is_bad(self, user: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Which items are clicks of the user or stand further left in the row: ``[n, count]`` bool."""
        pair = self._pair(user[:, None], drawn)
        place = np.minimum(np.searchsorted(self.pairs, pair), len(self.pairs) - 1)
        bad = self.pairs[place] == pair
        for column in range(1, drawn.shape[1]):
            bad[:, column] |= (drawn[:, :column] == drawn[:, column, None]).any(axis=1)
        return bad

    def _from_what_is_left(self, user: int, count: int, law: str, rng: np.random.Generator) -> np.ndarray:
        """Draw from the user's unclicked items: the first ``count`` to ring of exponential clocks."""
        first, end = np.searchsorted(self.pairs, [user * (self.items + 1), (user + 1) * (self.items + 1)])
        left = np.setdiff1d(np.arange(1, self.items + 1), self.pairs[first:end] % (self.items + 1))
        if len(left) < count:
            raise MmctrError(
                f"user {user} (see user_ids.parquet) clicked all but {len(left)} of {self.items} items, and "
                f"{count} negatives are wanted beside every click. Lower "
                "params:import_log.train_negatives_per_click and eval_negatives_per_click."
            )
        weight = np.ones(len(left)) if law == "uniform" else self.popularity[left - 1]
        with np.errstate(divide="ignore"):
            ring = rng.exponential(size=len(left)) / weight
        return left[np.lexsort((rng.random(len(left)), ring))[:count]]
