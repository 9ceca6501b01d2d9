"""The study (``make study``): models x seeds x data sets under one training budget, then the page about it.

    python -m benchmarks.study                  # whatever is missing, test scoring last; run it again after a stop
    python -m benchmarks.study --list           # what is finished, what is missing
    python -m benchmarks.study --only '*.din.*' # some runs only
    python -m benchmarks.study --score-test     # no training: score test if every run is finished
    python -m benchmarks.study --page           # no training, no scoring: results.json and the page again

One JSON file per finished run lies in data/study_runs. A run is repeated when its settings or its data changed; whoever
changes what code computes says so: --again '*.din.*'. benchmarks/study.yml is the table of choices.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.study import files, page
from benchmarks.study.plan import CHOICES, ROOT, Choices, Run, plan, read_choices
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import atomic_write

RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "results.md"
OUT = ROOT / "data" / "study_runs"

Record = dict[str, Any]


@dataclass
class Study:
    """The runs of the data sets that are there, and where everything lies."""

    choices: Choices
    runs: list[Run]
    keys: dict[str, dict[str, str]]  # by run name: digests of settings and data
    roots: dict[str, Path]
    out: Path

    def record(self, run: Run) -> Record | None:
        """What a finished run found; None if it is missing or was another training."""
        path = self.out / f"{run.name}.json"
        record = json.loads(path.read_text()) if path.is_file() else None
        if record is None:
            return None
        same = all(record["key"][part] == value for part, value in self.keys[run.name].items())
        return record if same else None

    def records(self, kind: str | None = None) -> list[tuple[Run, Record]]:
        """Finished runs."""
        runs = [run for run in self.runs if kind in (None, run.kind)]
        return [(run, record) for run in runs if (record := self.record(run)) is not None]

    def missing(self, kind: str | None = None) -> list[Run]:
        return [run for run in self.runs if kind in (None, run.kind) and self.record(run) is None]


def prepare(choices: Choices, roots: dict[str, Path], out: Path, make: bool = True) -> Study:
    """Have every data set, made if it is missing; those that cannot be are left out, with the reason printed.

    Without ``make`` nothing is made, and the runs of what is not there are missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, choice in choices.data.items():
        root = roots.get(name, ROOT / choice.root)
        if make and (reason := files.provide(choice, root)):
            say(f"{name} is left out: {reason}")
        else:
            found[name] = root
    runs = [run for run in plan(choices) if run.data in found]
    digests = {
        name: files.data_digest(root, choices.embedding_file(name)) if files.present(choices.data[name], root) else ""
        for name, root in found.items()
    }
    keys = {run.name: {"settings": run.settings_digest(), "data": digests[run.data]} for run in runs}
    return Study(choices, runs, keys, found, out)


# --- training --------------------------------------------------------------------------------------------


def train_all(study: Study, runs: list[Run], jobs: int, threads: int, finished: Callable[[], None]) -> list[str]:
    """Train each run in a process of its own, ``jobs`` at a time; the names of those that failed."""
    waiting, failed = list(runs), []
    working: dict[str, subprocess.Popen] = {}
    try:
        while waiting or working:
            while waiting and len(working) < jobs:
                run = waiting.pop(0)
                working[run.name] = _start(study, run, threads)
                say(f"{run.name}: begins, {len(waiting)} more waiting")
            time.sleep(0.2)
            for name in [name for name, process in working.items() if process.poll() is not None]:
                if working.pop(name).returncode:
                    failed.append(name)
                    say(f"{name}: FAILED, see above")
                else:
                    finished()
    finally:
        for process in working.values():
            process.terminate()
    return failed


def _start(study: Study, run: Run, threads: int) -> subprocess.Popen:
    job = {
        "run": asdict(run),
        "key": study.keys[run.name],
        "root": str(study.roots[run.data]),
        "embedding_file": study.choices.embedding_file(run.data),
        "out": str(study.out),
        "threads": threads,
        "parent": os.getpid(),
    }
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "benchmarks.study.train"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process


# --- results ---------------------------------------------------------------------------------------------


Comparisons = list[dict[str, Any]]


def results_of(study: Study, described: dict[str, Any], comparisons: Comparisons) -> dict[str, Any]:
    """Everything the page says, in an order that does not depend on when what was finished."""
    from benchmarks.study import scoring  # which brings torch

    choices = study.choices
    return {
        "ours": choices.ours,
        "models": list(choices.models),
        "seeds": choices.seeds,
        "budget": choices.budget.model_dump(),
        "choices": choices.digest(),
        "notes": choices.notes,
        "data": described,
        "frozen": [entry | {"runs": len(entry["runs"])} for entry in scoring.freezes(study.out)],
        "missing": [run.name for run in study.missing()],
        "comparisons": comparisons,
        "runs": [record for _, record in study.records()],
    }


def write(results: dict[str, Any], results_file: Path, page_file: Path) -> None:
    """results.json and the page made from it."""
    for path, text in ((results_file, page.dump(results)), (page_file, page.render(results))):
        with atomic_write(path) as temporary:
            temporary.write_text(text)


def score_test(study: Study, threads: int, reason: str | None = None) -> tuple[dict[str, Any], Comparisons]:
    """Freeze, score test and compare; nothing where a training is still missing."""
    from benchmarks.study import scoring

    known: dict[str, Any] = {}
    found: Comparisons = []
    for kind in scoring.FROZEN:
        pairs = study.records(kind)
        if missing := study.missing(kind):
            say(f"test is not scored: {len(missing)} trainings are missing, e.g. {missing[0].name}")
        elif pairs:
            scoring.freeze(study.choices, [record for _, record in pairs], study.out, reason, kind)
            known |= scoring.score(study.choices, pairs, study.roots, study.out, threads, say)
            if kind == "model":
                found = scoring.compare(study.choices, pairs, study.roots, study.out)
    return known, found


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    choices = read_choices(options.choices)
    roots = dict(pair.split("=", 1) for pair in options.root)
    if unknown := set(roots) - set(choices.data):
        raise MmctrError(f"--root names {sorted(unknown)}; known: {', '.join(choices.data)}.")
    given = {name: Path(root).resolve() for name, root in roots.items()}
    study = prepare(choices, given, options.out.resolve(), make=not options.list)
    if options.list:
        say(f"{len(study.runs)} runs, {len(study.missing())} missing")
        for run in study.runs:
            print(f"{'missing ' if study.record(run) is None else 'finished'}  {run.name}")
        return 0
    from benchmarks.study import data

    described = {name: data.describe(choices.data[name], root) for name, root in study.roots.items()}

    def update(comparisons: Comparisons | None = None) -> None:
        old = json.loads(options.results.read_text()) if options.results.is_file() else {}
        comparisons = comparisons or _kept(old, study, described)
        write(results_of(study, described, comparisons), options.results, options.page_file)

    if options.again:
        for run in study.runs:
            if fnmatch.fnmatch(run.name, options.again):
                (study.out / f"{run.name}.json").unlink(missing_ok=True)
    chosen = [run for run in study.missing() if fnmatch.fnmatch(run.name, options.only)]
    say(f"{len(study.runs)} runs, {len(study.missing())} missing, {len(chosen)} to do")
    failed: list[str] = []
    if not (options.score_test or options.page):
        failed = train_all(study, chosen, options.jobs, options.threads, update)
    if options.page or failed:
        update()
    else:
        known, comparisons = score_test(study, options.jobs * options.threads, options.rescore)
        for name, values in known.items():
            described[name] |= values
        update(comparisons)
    say(f"{len(study.missing())} runs missing; {options.page_file} is up to date")
    return 1 if failed else 0


def _kept(old: dict[str, Any], study: Study, described: dict[str, Any]) -> Comparisons:
    """Comparisons of an earlier results.json that still are of the scored runs, with their best test AUC."""
    scored = {record["name"]: record["key"] for _, record in study.records("model") if record["test"]}
    past = {r["name"]: r["key"] for r in old.get("runs", []) if r["test"] and r["kind"] == "model"}
    if not scored or scored != past:
        return []
    for name in described:
        described[name] |= {k: v for k, v in old["data"].get(name, {}).items() if k == "best_test_auc"}
    return old.get("comparisons", [])


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make study", description="Train and compare every model of study.yml.")
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="train only runs so named")
    parser.add_argument("--root", action="append", default=[], metavar="DATA=FOLDER", help="where a data set lies")
    parser.add_argument("--list", action="store_true", help="say what is finished and missing, and do nothing")
    parser.add_argument("--score-test", action="store_true", help="train nothing, score test if all runs are finished")
    parser.add_argument("--page", action="store_true", help="train and score nothing, write the page again")
    parser.add_argument("--rescore", metavar="WHY", help="score test again though it was scored before")
    parser.add_argument("--again", metavar="PATTERN", help="train runs so named anew")
    parser.add_argument("--choices", type=Path, default=CHOICES)
    parser.add_argument("--out", type=Path, default=OUT, help="where finished runs lie")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page-file", type=Path, default=PAGE)
    return parser.parse_args(arguments)


def say(text: str) -> None:
    """A plain line with the time, at once."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that workers are ended too
    try:
        sys.exit(main())
    except MmctrError as error:
        sys.exit(str(error))
