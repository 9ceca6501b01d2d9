"""Kill, fill and lock: ``python -m benchmarks.chaos`` writes benchmarks/chaos.json, or fails where a promise breaks."""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.chaos import disks, kills
from benchmarks.chaos.artifacts import kinds
from benchmarks.chaos.logs import write_log
from benchmarks.speed.machine import describe
from mmctr_kedro.common.files import atomic_write

PROJECT = Path(__file__).parents[2]
FIGURES = PROJECT / "benchmarks" / "chaos.json"
EAGER = {"checkpoint_minutes": 0.001}  # after nearly every step, so that kills fall into checkpoints too


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writer-kills", type=int, default=300)
    parser.add_argument(
        "--run-kills", type=int, default=30, help="of each pipeline but the main job, which has a fifth"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FIGURES)
    asked = parser.parse_args()
    logging.disable(logging.INFO)  # a checkpoint of the other version says so each time it is looked at
    start = time.monotonic()
    every = kinds()
    with TemporaryDirectory() as folder:
        home = Path(folder)
        write_log(home / "log")
        figures = {
            "artifacts": [kind.name for kind in every],
            "writers": _say("writers", kills.kill_writers(home / "writers", every, asked.writer_kills, asked.seed)),
            "runs": [
                _say(name, {"data": name, **kills.kill_runs(home / name, pipeline, given, count, asked.seed)})
                for name, pipeline, given, count in (
                    ("simulated", "task2", _simulated, asked.run_kills),
                    ("imported", "task2", lambda version: _imported(version, home / "log"), asked.run_kills),
                    ("simulated, main job", "__default__", _simulated, asked.run_kills // 5),
                )
            ],
            "disks": _say("disks", disks.injected(home / "disks", every)),
            "tmpfs": _say("tmpfs", disks.mounted(home / "tmpfs", every)),
        }
    figures["kills"] = figures["writers"]["kills"] + sum(each["kills"] for each in figures["runs"])
    figures["survived"] = figures["kills"]  # anything else has ended in an error
    figures["seconds"] = round(time.monotonic() - start)
    figures["machine"] = describe(PROJECT)
    with atomic_write(asked.out) as temporary:
        temporary.write_text(json.dumps(figures, indent=1) + "\n")


def _simulated(version: int) -> dict[str, Any]:
    return {"simulate": {"seed": version + 1}, "task2": {"ctr": EAGER}}


def _imported(version: int, log: Path) -> dict[str, Any]:
    return {
        "source": {"name": "interaction_log"},
        "log_folder": str(log),
        "import_log": {"seed": version + 1},
        "task2": {"ctr": EAGER},
    }


def _say(what: str, figures: dict[str, Any]) -> dict[str, Any]:
    print(what, figures, flush=True)
    return figures


if __name__ == "__main__":
    main()
