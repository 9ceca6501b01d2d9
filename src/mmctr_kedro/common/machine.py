"""The machine's side of a training: device, threads, determinism, memory.

What ``reproducible`` sets in torch is set back; only the allocator keeps its habit (``keep_freed_memory``).
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
import torch

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import RunControls


def pick_device(wanted: str) -> torch.device:
    """The device a run asked for; ``auto`` is CUDA where there is one."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise MmctrError("device 'cuda' was asked for, but torch finds none. Set device: auto or cpu.")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def circumstances(device: torch.device) -> dict[str, str]:
    """What the bytes of a training depend on beside settings, data and code; ask inside ``reproducible``."""
    cuda = device.type == "cuda"
    processor = torch.cuda.get_device_name(device) if cuda else torch.backends.cpu.get_cpu_capability()
    return {
        "libraries": f"torch {torch.__version__}, numpy {np.__version__}",
        "machine": f"{platform.machine()} {processor}",
        "threads": str(torch.get_num_threads()),
    }


@contextmanager
def float32() -> Iterator[None]:
    """torch's own default dtype for the length of a block, whatever a notebook around it has set."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def reproducible(controls: RunControls) -> Iterator[torch.device]:
    """Seed torch, fix threads and defaults and forbid non-deterministic algorithms for the length of a block."""
    device = pick_device(controls.device)
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for before CUDA is deterministic
    keep_freed_memory()
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with forked, float32(), torch.enable_grad():
        try:
            seed(controls.seed)
            # L2 shrinks idle weights until arithmetic with them takes ten times as long: such numbers count as 0.
            torch.set_flush_denormal(True)
            torch.set_num_threads(controls.threads)
            torch.use_deterministic_algorithms(True)
            # Filling every fresh buffer with NaN would cost more than the arithmetic saves.
            memory.fill_uninitialized_memory = False
            yield device
        finally:
            memory.fill_uninitialized_memory = fill
            torch.set_flush_denormal(False)
            torch.use_deterministic_algorithms(deterministic)
            torch.set_num_threads(threads)


def seed(number: int) -> None:
    """Seed torch's random state, as ``torch.manual_seed`` does, without its note of who asked for it.

    That note, kept for devices not yet in use, costs more than a request of the service computes.
    """
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)


@cache
def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next batch, for the rest of the process.

    By default it returns every large buffer to the kernel, and getting it back zeroed, page by page, takes
    longer than most of the arithmetic done in it. Elsewhere than on Linux with glibc nothing happens.
    """
    with suppress(OSError):  # no glibc here
        trim_threshold, mmap_max = -1, -4  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_MAX
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_max, 0)
