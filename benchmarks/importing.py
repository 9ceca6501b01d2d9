"""Time, peak memory and disk of ``import_log`` on logs of any size, beside the way that held them in memory.

    python benchmarks/importing.py                            # 20 and 60 million interactions
    python benchmarks/importing.py --peer b16fb47             # and by that commit, the last that sorted in memory
    python benchmarks/importing.py --millions 20 --processing # and data_processing of what was imported

The logs are made up in the challenge's proportions: 9 interactions per user, at random times and over 91,717 items, in
no order in the file. One click per user is a train row; 2,500 users have a valid row, a tenth of all a test row. Every
import runs in a process of its own. Its peak is the system's count of resident bytes (VmHWM); disk is what lies below
the output while it runs, looked at twice a second. The files of both ways are compared byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from mmctr_kedro.common.files import sha256

ITEMS, PER_USER, CHUNK = 91_717, 9, 2_000_000
PROJECT = Path(__file__).parents[1]

IMPORT = """
import json, sys, time
from pathlib import Path
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.importing.log import import_interaction_log
from mmctr_kedro.data.settings import InteractionLogParams
started = time.perf_counter()
params = InteractionLogParams(**json.loads(sys.argv[1]))
import_interaction_log(params, RawFolder(Path(sys.argv[2])), RawFolder(Path(sys.argv[3])))
print(time.perf_counter() - started, next(l.split()[1] for l in open("/proc/self/status") if "VmHWM" in l))
"""
PROCESS = """
import sys, time
from pathlib import Path
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.processing.raw_files import describe
from mmctr_kedro.data.settings import ProcessingParams, SourceParams
from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files
started = time.perf_counter()
folder = RawFolder(Path(sys.argv[1]))
process_raw_files(ProcessingParams(), describe(SourceParams(name="challenge_files"), folder), folder)
print(time.perf_counter() - started, next(l.split()[1] for l in open("/proc/self/status") if "VmHWM" in l))
"""


def write_log(folder: Path, interactions: int, seed: int = 0) -> None:
    """interactions.csv and items.csv, a piece at a time."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    popularity = np.cumsum(rng.lognormal(0, 1.5, ITEMS))
    schema = pa.schema([(name, pa.int64()) for name in ("user", "item", "timestamp")])
    with arrow_csv.CSVWriter(folder / "interactions.csv", schema) as file:
        for start in range(0, interactions, CHUNK):
            count = min(CHUNK, interactions - start)
            item = np.searchsorted(popularity, rng.random(count) * popularity[-1]) + 1
            user = rng.integers(1, interactions // PER_USER + 1, count)
            file.write(pa.table([user, item, rng.integers(1_600_000_000, 1_700_000_000, count)], schema))
    items = np.arange(1, ITEMS + 1)
    titles = pa.table({"item": items, "title": [f"title of item {n}" for n in items], "tags": items % 97})
    arrow_csv.write_csv(titles, folder / "items.csv")


def measure(program: str, arguments: list[str], source: Path, watched: Path) -> dict[str, float] | str:
    """Seconds, GiB of memory and GiB of disk that a program takes with the package in ``source``; or how it ended."""
    command, disk = [sys.executable, "-c", program, *arguments], 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(source)}
    ) as run:
        while run.poll() is None:
            used = subprocess.run(["du", "-sk", watched], capture_output=True, text=True).stdout.split()
            disk = max(disk, int(used[0]) if used else 0)
            time.sleep(0.5)
        if run.returncode or run.stdout is None:
            return f"ended with {run.returncode}"
        seconds, peak = run.stdout.read().split()[-2:]
    return {
        "seconds": round(float(seconds), 1),
        "peak_gib": round(int(peak) / 2**20, 2),
        "disk_gib": round(disk / 2**20, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[20, 60])
    parser.add_argument("--memory-gib", type=float, default=1)
    parser.add_argument("--peer", help="a commit of this repository that imports in another way")
    parser.add_argument("--processing", action="store_true", help="data_processing of what was imported, too")
    parser.add_argument("--folder", type=Path, help="where the files lie meanwhile; default: the system's")
    options = parser.parse_args()
    for millions in options.millions:
        with tempfile.TemporaryDirectory(dir=options.folder) as place:
            top = Path(place)
            write_log(top / "log", int(millions * 1e6))
            results = {"millions": millions, "log_gib": round((top / "log/interactions.csv").stat().st_size / 2**30, 2)}
            drawn = {
                "train_clicks_per_user": 1,
                "valid_users": 2_500,
                "test_users": int(millions * 1e6) // PER_USER // 10,
            }
            settings = json.dumps({**drawn, "memory_gib": options.memory_gib})
            out = top / "out"
            results["import_log"] = measure(IMPORT, [settings, str(top / "log"), str(out)], PROJECT / "src", out)
            results["left_behind"] = [path.name for path in out.glob(".*")]
            if options.processing:
                results["data_processing"] = measure(PROCESS, [str(out)], PROJECT / "src", out)
            if options.peer:
                archive = subprocess.run(["git", "archive", options.peer, "src"], cwd=PROJECT, capture_output=True)
                subprocess.run(["tar", "-x", "-C", top], input=archive.stdout, check=True)
                arguments = [json.dumps(drawn), str(top / "log"), str(top / "peer")]
                results[options.peer] = measure(IMPORT, arguments, top / "src", top / "peer")
                results["equal_files"] = {
                    path.name: sha256(path) == sha256(out / path.relative_to(top / "peer"))
                    for path in sorted((top / "peer").rglob("*.parquet"))
                }
            print(json.dumps(results, indent=1), flush=True)


if __name__ == "__main__":
    main()
