"""The speed benchmark (``make bench``): measures, prints a table, writes docs/speed.md and its JSON.

    python -m benchmarks.speed                        # everything
    python -m benchmarks.speed --only din profile     # some sections; the others keep their last results
    python -m benchmarks.speed --only gpu             # on a machine with CUDA
    python -m benchmarks.speed --resume               # go on with a run that was stopped

Each block runs in a fresh process with the same number of threads. Leave the machine alone meanwhile: how many
cores other processes used is written beside every figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed import page, plan, worlds
from benchmarks.speed.block import Block
from benchmarks.speed.machine import busy_seconds, describe

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "speed.json"
PAGE = ROOT / "docs" / "speed.md"
Result = dict[str, Any]


def in_fresh_process(block: Block) -> Result:
    """Measure a block in a process of its own; a block that fails says so in its result."""
    out = ROOT / "data" / "benchmark" / "block.json"
    out.unlink(missing_ok=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"OMP_NUM_THREADS": str(block.threads), "PYTHONPATH": path}
    command = [sys.executable, "-m", "benchmarks.speed.block", json.dumps(dataclasses.asdict(block)), str(out)]
    busy, began, own = busy_seconds(), time.perf_counter(), _children_seconds()
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    seconds = time.perf_counter() - began
    others = max(0.0, busy_seconds() - busy - (_children_seconds() - own)) / seconds
    if done.returncode or not out.exists():
        return {**dataclasses.asdict(block), "failed": f"exit code {done.returncode}"}
    return json.loads(out.read_text()) | {"seconds": seconds, "cores_used_by_others": round(others, 2)}


def measure(
    sections: list[str],
    size: plan.Size,
    threads: int,
    folder: Path,
    launch: Callable[[Block], Result],
    resume: bool = False,
    commit: str = "",
) -> dict[str, list[Result]]:
    """The results of every block of some sections; worlds and finished blocks are kept in ``folder``.

    ``resume`` takes up what the same ``commit`` finished.
    """
    blocks = {section: plan.SECTIONS[section](size, threads) for section in sections}
    needed = {block.data for some in blocks.values() for block in some} - {""}
    for name, params in plan.worlds(size).items():
        if name in needed:
            _say(f"world '{name}': {params.train_rows:,} rows, {params.items:,} items")
            worlds.provide(folder / name, params)
    results: dict[str, list[Result]] = {}
    for section, some in blocks.items():
        results[section] = []
        for block in some:
            block = dataclasses.replace(block, data=str(folder / block.data) if block.data else "")
            kept = folder / "blocks" / f"{block.name}.json"
            if resume and kept.exists() and _asks_the_same(kept, block, commit):
                _say(f"{section}: {block.name} (kept)")
                results[section].append(json.loads(kept.read_text()))
                continue
            _say(f"{section}: {block.name}")
            results[section].append(launch(block) | {"commit": commit})
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(results[section][-1]))
    return results


def _asks_the_same(kept: Path, block: Block, commit: str) -> bool:
    old, asked = json.loads(kept.read_text()), dataclasses.asdict(block) | {"commit": commit}
    return "failed" not in old and all(old.get(name) == value for name, value in asked.items())


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


_BEGAN = time.perf_counter()


def _say(text: str) -> None:
    print(f"[{time.perf_counter() - _BEGAN:5.0f} s] {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=list(plan.SECTIONS), metavar="SECTION", help=", ".join(plan.SECTIONS)
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="a tiny size, to see that it works; writes nothing")
    parser.add_argument("--resume", action="store_true", help="keep the blocks that a stopped run finished")
    given = parser.parse_args()
    os.chdir(ROOT)
    folder = Path("data", "benchmark", "quick" if given.quick else "full")  # relative: it stands in the results
    folder.mkdir(parents=True, exist_ok=True)
    sections = given.only or plan.DEFAULT
    size = plan.TINY if given.quick else plan.FULL
    about = describe(ROOT) | {"command": shlex.join(["python", "-m", "benchmarks.speed", *sys.argv[1:]])}
    measured = measure(sections, size, given.threads, folder, in_fresh_process, given.resume, about["commit"])
    old = json.loads(RESULTS.read_text())["sections"] if RESULTS.exists() and not given.quick else {}
    fresh = {
        section: {"about": about | {"threads": given.threads}, "blocks": blocks} for section, blocks in measured.items()
    }
    results = {"sections": {name: (old | fresh)[name] for name in plan.SECTIONS if name in old | fresh}}
    page.show(results)
    if not given.quick:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        PAGE.write_text(page.markdown(results))
        _say(f"written: {PAGE.relative_to(ROOT)}, {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
