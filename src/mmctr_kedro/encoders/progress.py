"""How far a long piece of work is: a log line now and then, never a flood."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger(__name__)


class Progress:
    """Counts items done; logs rate and time left, at most every ``interval`` seconds, and at the end."""

    def __init__(self, what: str, total: int, interval: float = 5.0) -> None:
        self._what, self._total, self._interval = what, total, interval
        self._done = self._known = 0
        self._start = self._last = time.monotonic()

    def know(self, count: int = 1) -> None:
        """Note that ``count`` items need no work; they do not count for the rate."""
        self._known += count

    def advance(self, count: int) -> None:
        """Note that ``count`` more items are done."""
        if not count:
            return
        self._done += count
        now = time.monotonic()
        if now - self._last >= self._interval and self._done + self._known < self._total:
            self._last = now
            rate = self._rate(now)
            done = f"{self._done + self._known:,} of {self._total:,}"
            left = (self._total - self._known - self._done) / rate
            logger.info("%s: %s, %.0f a second, about %.0f s left", self._what, done, rate, left)

    def end(self) -> None:
        """Say what was done."""
        known = f"; {self._known:,} were known" if self._known else ""
        if not self._done:
            logger.info("%s: nothing to encode%s", self._what, known)
            return
        now = time.monotonic()
        took = now - self._start
        logger.info("%s: %s in %.1f s, %.0f a second%s", self._what, f"{self._done:,}", took, self._rate(now), known)

    def _rate(self, now: float) -> float:
        return self._done / max(now - self._start, 1e-9)
