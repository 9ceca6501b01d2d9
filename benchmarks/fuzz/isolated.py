"""Cases in processes of their own, with bounded memory and time: one that dies or hangs is a crash."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.fuzz.cases import Bench, Outcome
from benchmarks.fuzz.readers import READERS

SECONDS = 60  # that a case may take
MEMORY = 4 << 30  # bytes that cases may ask for beyond what the process has at its start
Plan = list[tuple[int, int]]  # place of a reader in READERS, number of the case


def isolated(work: Plan) -> Iterator[tuple[Outcome, float, int]]:
    """Each case's outcome, seconds, and the peak memory (KiB) of its process so far."""
    context = multiprocessing.get_context("spawn")
    while work:
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, work), daemon=True)
        process.start()
        theirs.close()
        done = 0
        try:
            while done < len(work) and ours.poll(SECONDS + 60 * (done == 0)):  # the first waits for imports
                yield ours.recv()
                done += 1
            told = f"no answer in {SECONDS} s"
        except EOFError:
            process.join()
            told = f"the process ended with {process.exitcode}"
        process.kill()
        process.join()
        if done < len(work):
            place, case = work[done]
            yield Outcome(READERS[place].name, case, "CRASH", "", told), float(SECONDS), 0
        work = work[done + 1 :]


def _work(pipe: Connection, work: Plan) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").is_file() else 0
    if pages:
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for place, case in work:
            start = time.perf_counter()
            outcome = bench.case(READERS[place], case)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            pipe.send((outcome, time.perf_counter() - start, peak))
