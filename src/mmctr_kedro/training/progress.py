"""How far an epoch is: a bar on a terminal, now and then a log line elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

logger = logging.getLogger(__name__)

LOG_SECONDS = 60.0  # at most one line in this time


class EpochProgress:
    """Shows the rows done of an epoch, their rate and the time left."""

    def __init__(self, name: str, rows: int) -> None:
        self._name, self._rows = name, rows
        self._since = time.monotonic(), -1  # when counting began, and at how many rows; -1: with the next update
        self._next_line = time.monotonic() + LOG_SECONDS
        columns = [TextColumn("{task.description}"), BarColumn(), _RowsPerSecond(), TimeRemainingColumn()]
        on_terminal = sys.stderr.isatty()
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not on_terminal)
        self._task = self._bar.add_task(name, total=rows) if on_terminal else None

    @contextmanager
    def shown(self) -> Iterator[EpochProgress]:
        """For the length of a block there is a bar."""
        self._bar.start()
        try:
            yield self
        finally:
            self._bar.stop()

    def pause(self) -> None:
        """Clear the terminal for others to write to; the next ``update`` goes on."""
        self._bar.stop()
        self._since = time.monotonic(), -1

    def update(self, epoch: int, done: int) -> None:
        """``done`` rows of this epoch are behind us."""
        now = time.monotonic()
        if self._task is not None:
            self._bar.start()
            if done < self._bar.tasks[0].completed:  # a new epoch; a task that ended keeps no time left
                self._bar.reset(self._task)
            self._bar.update(self._task, description=f"{self._name} {epoch}", completed=done)
        elif self._since[1] < 0 or done < self._since[1]:
            self._since = now, done
        elif now >= self._next_line:
            self._next_line = now + LOG_SECONDS
            rate = (done - self._since[1]) / max(now - self._since[0], 1e-9)
            left = (self._rows - done) / max(rate, 1e-9)
            place = f"{self._name} epoch {epoch}: {done:,} of {self._rows:,} rows"
            logger.info("%s, %.0f rows/s, about %.0f s left of the epoch", place, rate, left)


class _RowsPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", style="progress.data.speed")
