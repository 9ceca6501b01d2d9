"""The machine and the commit a figure was measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_tile")  # those that matrix products use


def describe(root: Path) -> dict[str, Any]:
    """Processor, memory, versions, commit and date."""
    processor = _proc("cpuinfo")
    memory = float(_proc("meminfo").get("MemTotal", "nan kB").split()[0]) * 1024 / 1e9
    flags = set(processor.get("flags", "").split())
    return {
        "processor": processor.get("model name", platform.processor()),
        "flags": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "memory_gb": round(memory, 1),
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "fuxictr": version("fuxictr"),
        "commit": _git(root, "rev-parse", "--short=12", "HEAD"),
        "uncommitted_changes": bool(
            _git(root, "status", "--porcelain", "--", "src", "benchmarks/speed", "benchmarks/padded.py")
        ),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def busy_seconds() -> float:
    """CPU seconds that all processes of the machine have used since it started."""
    try:
        user, nice, system, _, _, interrupts, soft, *_ = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    except (OSError, ValueError):
        return float("nan")
    return sum(map(int, (user, nice, system, interrupts, soft))) / os.sysconf("SC_CLK_TCK")


def _proc(name: str) -> dict[str, str]:
    """The first ``key: value`` of every key."""
    path, found = Path("/proc") / name, {}
    for line in path.read_text().splitlines() if path.exists() else []:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    return found


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False).stdout.strip()
