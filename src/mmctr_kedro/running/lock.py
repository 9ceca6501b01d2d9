"""One run at a time on one data root: a second is refused before it does anything, with the first one's name."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from mmctr_kedro.common.errors import DiskError, MmctrError
from mmctr_kedro.common.files import sweep_below
from mmctr_kedro.running.configuration import data_root

LOCK, NOTE = ".run.lock", ".run.txt"  # the kernel's lock, and who holds it, for people to read
_ELSEWHERE = "or work in another place: --params root=<another folder>"


class RunLock:
    """Kedro hooks that hold a lock on what a run writes, from before its first node until its end.

    The kernel drops the lock with the process, however it ends: a note that a killed run left refuses nobody.
    """

    _lock: FileLock | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Note where the run will write."""
        self._root = data_root(context)

    @hook_impl(trylast=True)  # what may be refused for another reason is refused before the lock is taken
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Take the lock, say who holds it, and sweep up what killed runs left.

        Raises:
            MmctrError: If another run holds it, or the place may not be written.
        """
        self.after_pipeline_run()  # of a run in this process that a keyboard interrupt ended unseen
        lock, note = FileLock(self._root / LOCK, timeout=0, thread_local=False), self._root / NOTE
        # Without the values of --params: a secret may be among them.
        options = {"env": run_params.get("env"), "pipeline": ",".join(run_params.get("pipeline_names") or [])}
        command = " ".join(["kedro run", *(f"--{name} {value}" for name, value in options.items() if value)])
        since = time.strftime("%Y-%m-%d %H:%M:%S %z")
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            self._lock = lock
            note.write_text(f"process {os.getpid()} on {socket.gethostname()}, `{command}` since {since}\n")
        except Timeout:
            holder = note.read_text().strip() if note.is_file() else "a run that has not yet said who it is"
            said = f"{self._root} is in use by {holder}. Nothing was run. Wait until that run has ended or stop it,"
            raise MmctrError(f"{said} {_ELSEWHERE}") from None
        except OSError as error:
            said = f"{self._root} may not be written: {error.strerror}. Nothing was run. Make it writable,"
            raise DiskError(f"{said} {_ELSEWHERE}") from error
        sweep_below(self._root)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Give the lock back, however the run ended."""
        if self._lock is not None:
            with suppress(OSError):
                Path(self._lock.lock_file).with_name(NOTE).unlink()
            self._lock.release(force=True)
            self._lock = None

    on_pipeline_error = after_pipeline_run
