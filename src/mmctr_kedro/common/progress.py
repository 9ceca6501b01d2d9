"""How far a long piece of work is: a bar on a terminal, elsewhere a log line now and then, never a flood."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

logger = logging.getLogger(__name__)


class Progress:
    """Counts what is done of a piece of work, its rate and the time left; a context, in which the bar is shown."""

    def __init__(self, what: str, total: int, log_seconds: float = 5.0) -> None:
        """``what`` begins every line; log lines are at least ``log_seconds`` apart."""
        self._what, self._total, self._log_seconds = what, total, log_seconds
        self.done = self.skipped = 0
        self._start = self._logged = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}"))
        console = Console(stderr=True)
        self._bar = Bar(*columns, console=console, transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task(what, total=total, pace="")

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to others for the length of a block, which does not count for the rate."""
        began = time.monotonic()
        self._bar.stop()
        yield
        self._bar.start()
        self._start += time.monotonic() - began

    def skip(self, count: int = 1) -> None:
        """Note that ``count`` items need no work; they do not count for the rate."""
        self.skipped += count

    def advance(self, count: int) -> None:
        """Note that ``count`` more items are done."""
        self.done += count
        now = time.monotonic()
        left = self._total - self.skipped - self.done
        rate = self.done / max(now - self._start, 1e-9)
        if not self._bar.disable:
            pace = f"{rate:,.0f} a second, {left / max(rate, 1e-9):,.0f} s left"
            self._bar.update(self._task, completed=self._total - left, pace=pace)
        elif left and now - self._logged >= self._log_seconds:
            self._logged = now
            place = f"{self._what}: {self._total - left:,} of {self._total:,}"
            logger.info("%s, %.0f a second, about %.0f s left", place, rate, left / max(rate, 1e-9))

    def log_end(self) -> None:
        """Say how much was done, and how fast."""
        known = f"; {self.skipped:,} were known" if self.skipped else ""
        took = time.monotonic() - self._start
        if self.done:
            done, rate = f"{self.done:,}", self.done / max(took, 1e-9)
            logger.info("%s: %s in %.1f s, %.0f a second%s", self._what, done, took, rate, known)
        else:
            logger.info("%s: nothing to encode%s", self._what, known)
