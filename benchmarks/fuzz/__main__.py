"""Mutated files for every reader: none may crash it, and none may pass as what it was with other values.

    python -m benchmarks.fuzz                             # 10,000 files and more; writes benchmarks/fuzz.json
    python -m benchmarks.fuzz --only covers --cases 500   # the readers of that name, nothing written
    python -m benchmarks.fuzz --only "covers.zip" --case 17    # one case again, with what came of it

Cases run in processes of their own, with bounded memory and time: one that dies or hangs is a crash.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.fuzz.cases import BAD, VERDICTS, Bench, Outcome, Reader
from benchmarks.fuzz.isolated import Plan, isolated
from benchmarks.fuzz.readers import READERS, SKIPPED

FIGURES = Path(__file__).parents[1] / "fuzz.json"
CASES = 10_500


def plan(readers: list[Reader], cases: int) -> Plan:
    """Cases for each reader by its weight, at least one."""
    total = sum(reader.weight for reader in readers)
    return [
        (READERS.index(reader), case)
        for reader in readers
        for case in range(max(1, -(-cases * reader.weight // total)))
    ]


def figures(found: list[tuple[Outcome, float, int]], seconds: float) -> dict[str, Any]:
    """What ``fuzz.json`` says."""
    readers: dict[str, dict[str, Any]] = {}
    for reader in READERS:
        own = [(outcome, took) for outcome, took, _ in found if outcome.reader == reader.name]
        verdicts = Counter(outcome.verdict for outcome, _ in own)
        readers[reader.name] = {
            "files": len(own),
            **{_key(verdict): verdicts[verdict] for verdict in VERDICTS},
            "seconds": round(sum(took for _, took in own), 1),
        }
    return {
        "files": len(found),
        **{_key(verdict): sum(counts[_key(verdict)] for counts in readers.values()) for verdict in VERDICTS},
        "readers": readers,
        "skipped": SKIPPED,
        "run": {
            "command": "make fuzz",
            "seed": "of each case: its reader's name and number (Bench.case)",
            "commit": _git("rev-parse", "--short", "HEAD")
            + ("+changes" if _git("status", "--porcelain", "src") else ""),
            "seconds": round(seconds),
            "peak_memory_mib": max((peak for *_, peak in found), default=0) // 1024,
            "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "pandas", "pyarrow", "pillow", "torch", "safetensors")},
        },
    }


def _key(verdict: str) -> str:
    return verdict.lower().replace(" ", "_")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="readers with this in their name")
    parser.add_argument("--cases", type=int, default=CASES, help="files in all")
    parser.add_argument("--case", type=int, help="one case of one reader, told in full")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    given = parser.parse_args(arguments)
    chosen = [reader for reader in READERS if given.only == reader.name]
    chosen = chosen or [reader for reader in READERS if given.only in reader.name]
    if not chosen:
        parser.error(f"no reader has {given.only!r} in its name: {', '.join(reader.name for reader in READERS)}")
    if given.case is not None:
        with tempfile.TemporaryDirectory() as folder:
            for reader in chosen:
                _say(Bench(Path(folder)).case(reader, given.case))
        return 0
    start = time.perf_counter()
    work = plan(chosen, given.cases)
    with ThreadPoolExecutor(given.jobs) as pool:
        # Every job has its share of every reader.
        found = [
            case for part in pool.map(_collect, [work[at :: given.jobs] for at in range(given.jobs)]) for case in part
        ]
    made = figures(found, time.perf_counter() - start)
    for name, counts in made["readers"].items():
        if counts["files"]:
            print(f"{name:<32}", "  ".join(f"{key} {value}" for key, value in counts.items() if value))
    if not given.only:
        FIGURES.write_text(json.dumps(made, indent=1) + "\n")
    bad = sum(outcome.verdict in BAD for outcome, *_ in found)
    print(f"{len(found):,} mutated files in {made['run']['seconds']} s: {bad} crashed a reader or passed altered")
    return int(bad > 0)


def _collect(work: Plan) -> list[tuple[Outcome, float, int]]:
    found = []
    for case in isolated(work):
        if case[0].verdict in BAD:
            _say(case[0])
        found.append(case)
    return found


def _say(outcome: Outcome) -> None:
    print(f"{outcome.reader}, case {outcome.case}, {outcome.change}: {outcome.verdict}\n    {outcome.told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
