"""How far a long piece of work is: a log line now and then, never a flood."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)


class Progress:
    """Counts items done; logs rate and time left, at most every ``interval`` seconds, and at the end."""

    def __init__(self, what: str, total: int, interval: float = 5.0) -> None:
        self._what, self._total, self._interval = what, total, interval
        self._done = 0
        self._start = self._last = time.monotonic()

    def advance(self, count: int) -> None:
        """Note that ``count`` more items are done."""
        if not count:
            return
        self._done += count
        now = time.monotonic()
        seconds = max(now - self._start, 1e-9)
        rate = self._done / seconds
        if self._done >= self._total:
            logger.info("%s: %s in %.1f s, %.0f a second", self._what, f"{self._done:,}", seconds, rate)
        elif now - self._last >= self._interval:
            self._last = now
            done = f"{self._done:,} of {self._total:,}"
            left = (self._total - self._done) / rate
            logger.info("%s: %s, %.0f a second, about %.0f s left", self._what, done, rate, left)
