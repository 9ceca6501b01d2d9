"""One run at a time on one data root: a second is refused before it does anything, with the first one's name."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from mmctr_kedro.common.errors import DiskError, MmctrError
from mmctr_kedro.common.files import atomic_write, sweep_below

LOCK, NOTE = ".run.lock", ".run.json"  # the kernel's lock, and who holds it, for people to read


class RunLock:
    """Kedro hooks that hold a lock on what a run writes, from before its first node until its end.

    The kernel drops the lock with the process, however it ends: a note that a killed run left refuses nobody.
    """

    def __init__(self) -> None:
        self._locks: dict[Path, FileLock] = {}
        self._runs: list[list[Path]] = []  # of this process: a node may run a session of its own, elsewhere

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Note where the run will write."""
        config = context.config_loader
        root = (config.runtime_params or {}).get("root") or config["globals"]["root"]
        self._root = Path(context.project_path, root)
        self._source = config["parameters"]["source"]["name"]

    @hook_impl(trylast=True)  # what may be refused for another reason is refused before the lock is taken
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Take the lock, or refuse the run.

        Raises:
            MmctrError: If another run holds it, or the place may not be written.
        """
        folders = [self._root, *self._written_elsewhere(pipeline, catalog)]
        self._runs.append([])
        try:
            for folder in folders:
                self._take(folder)
                _note(folder, _words(run_params))
                sweep_below(folder)
        except BaseException:
            self._release()
            raise

    @hook_impl(wrapper=True)
    def after_pipeline_run(self) -> Generator[None, Any, Any]:
        """Give the lock back, whatever other hooks do."""
        try:
            return (yield)
        finally:
            self._release()

    @hook_impl(wrapper=True)
    def on_pipeline_error(self) -> Generator[None, Any, Any]:
        """Give the lock back, whatever other hooks do."""
        try:
            return (yield)
        finally:
            self._release()

    def _written_elsewhere(self, pipeline: Pipeline, catalog: CatalogProtocol) -> list[Path]:
        """The challenge folder, if it lies outside the root and this run makes the files in it."""
        makes = "truth" in pipeline.all_outputs()
        asked = "params:source" in pipeline.inputs()  # simulate and import_log alone do not ask
        if not makes or (asked and self._source == "challenge_files"):
            return []
        folder = catalog.load("challenge_folder").path
        return [] if folder.resolve().is_relative_to(self._root.resolve()) else [folder]

    def _take(self, folder: Path) -> None:
        if left := self._locks.pop(folder, None):
            left.release(force=True)  # by a run in this process that a keyboard interrupt ended unseen
        lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise MmctrError(
                f"{folder} is in use: {_holder(folder)}. Nothing was run. Wait until that run has ended or stop it, or "
                "work in another place: --params root=<another folder>"
            ) from None
        except OSError as error:
            raise DiskError(
                f"{folder} may not be written: {error.strerror}. Nothing was run. Make it writable, or work in another "
                "place: --params root=<another folder>"
            ) from error
        self._locks[folder] = lock
        self._runs[-1].append(folder)

    def _release(self) -> None:
        for folder in self._runs.pop():
            with suppress(OSError):
                (folder / NOTE).unlink()
            self._locks.pop(folder).release(force=True)


def _note(folder: Path, command: str) -> None:
    holder = {
        "user": _user(),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "command": command,
        "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
    }
    with atomic_write(folder / NOTE) as temporary:
        temporary.write_text(json.dumps(holder, indent=1) + "\n")


def _words(run_params: dict[str, Any]) -> str:
    """The command, without values of --params: a secret may be among them."""
    names = ",".join(run_params.get("pipeline_names") or [])
    env = run_params.get("env")
    return "kedro run" + (f" --env {env}" if env else "") + (f" --pipeline {names}" if names else "")


def _holder(folder: Path) -> str:
    try:
        note = json.loads((folder / NOTE).read_text())
        return "{user} on {host} (process {process}) has been running `{command}` since {since}".format(**note)
    except (OSError, ValueError, KeyError):
        return "by a run that has not yet said who it is"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        return str(os.getuid())
