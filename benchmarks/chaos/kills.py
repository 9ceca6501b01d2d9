"""Processes killed at random points, and what they leave."""

from __future__ import annotations

import hashlib
import mmap
import os
import random
import shutil
import signal
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.chaos.artifacts import Kind
from mmctr_kedro.common.seals import seal_of

PROJECT = Path(__file__).parents[2]
# They tell how long a training took, and when.
TIMED = {"training_history.json", "metrics.json", "report.html", "bundle.zip"}
_SHARDS = "encoded"  # which shards hold an item depends on where a run was cut; what they hold does not


def fork(work: Callable[[], object], quiet: bool = False) -> int:
    """Run ``work`` in a child; its process id."""
    if child := os.fork():
        return child
    if quiet:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    try:
        work()
        os._exit(0)
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)


def ends_well(work: Callable[[], object]) -> float:
    """Run ``work`` in a child to its end; the seconds it took."""
    start = time.monotonic()
    _, status = os.waitpid(fork(work, quiet=True), 0)
    assert status == 0, f"an undisturbed run ended with {os.waitstatus_to_exitcode(status)}"
    return time.monotonic() - start


def kill(child: int, seconds: float) -> bool:
    """Kill a child after so long; False if it had ended by then."""
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL), f"a run ended by itself with {status}"
    return status < 0


def kill_writers(home: Path, kinds: list[Kind], kills: int, seed: int = 0, longest: float = 0.15) -> dict[str, Any]:
    """Kill a loop over all kinds of writers; every artifact must be the old or the new one after each kill.

    Returns:
        ``kills``, ``saves`` that ended, ``in_a_save`` (kills in the middle of one) and of those what was at its place:
        ``old`` or ``new``; ``left_a_room``, ``left_both_sealed`` (kills in between that only the next write tidies).
    """
    rng = random.Random(seed)
    versions = [_reference(home / str(version), kinds, version) for version in (0, 1)]
    live = home / "live"
    _reference(live, kinds, 0)
    counts: Counter[str] = Counter(kills=kills)
    for _ in range(kills):
        state = mmap.mmap(-1, 16)  # shared with the child: saves begun, saves ended, kind, version
        order = random.Random(rng.random())
        assert kill(fork(lambda: _write_forever(live, kinds, order, state)), rng.uniform(0.001, longest))  # noqa: B023
        begun, ended, place, version = struct.unpack("4i", state)
        counts["saves"] += ended
        counts["left_a_room"] += bool(list(live.glob(".*.part")))
        counts["left_both_sealed"] += any(
            seal_of(live / kind.name).read_text().count("#") > 1 for kind in kinds if seal_of(live / kind.name).exists()
        )
        for number, kind in enumerate(kinds):
            found = kind.digests(live)
            assert found in [digests[number] for digests in versions], f"{kind.name} is neither old nor new"
            if begun > ended and number == place:
                counts["in_a_save"] += 1
                counts["new" if found == versions[version][number] else "old"] += 1
    _reference(live, kinds, 0)
    assert _reference(live, kinds, 1) == versions[1], "an undisturbed run no longer writes what it wrote before"
    assert files(live) == files(home / "1"), "litter"
    return dict(counts)


def _reference(root: Path, kinds: list[Kind], version: int) -> list[dict[str, str]]:
    root.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        kind.save(root / kind.name, version)
    return [kind.digests(root) for kind in kinds]


def _write_forever(root: Path, kinds: list[Kind], order: random.Random, state: mmap.mmap) -> None:
    done = 0
    for turn in range(1_000_000):
        for place in order.sample(range(len(kinds)), len(kinds)):
            version = (turn + order.randrange(2)) % 2
            state[:] = struct.pack("4i", done + 1, done, place, version)
            kinds[place].save(root / kinds[place].name, version)
            done += 1
            state[:] = struct.pack("4i", done, done, place, version)


def kill_runs(
    home: Path, pipeline: str, given: Callable[[int], dict[str, Any]], kills: int, seed: int = 0
) -> dict[str, Any]:
    """Kill ``kedro run --env smoke`` of two alternating settings on one root; each time whatever lies there must load
    through its dataset and be of one of the two, and in the end a run must make what it makes on a fresh root.
    """
    rng = random.Random(seed)
    roots = [home / f"{pipeline}{version}" for version in (0, 1)]
    took = min([ends_well(lambda: run(root, pipeline, given(n))) for n, root in enumerate(roots)])  # noqa: B023
    known = [files(root) for root in roots]
    live = home / f"{pipeline}.live"
    shutil.copytree(roots[0], live)
    counts: Counter[str] = Counter(kills=0, ended_before=0, loaded=0, old=0, new=0)
    while counts["kills"] < kills:
        version = (counts["kills"] + 1) % 2
        before = files(live)
        child = fork(lambda: run(live, pipeline, given(version)), quiet=True)  # noqa: B023
        counts["kills" if kill(child, rng.uniform(0, took)) else "ended_before"] += 1
        counts["loaded"] += load_all(live, pipeline)
        found = files(live)
        for name in artifacts(found):
            assert found[name] in [files_of.get(name) for files_of in known], f"{name} is of neither run"
            if known[0][name] != known[1][name]:
                counts["old" if found[name] == before.get(name) else "new"] += 1
    ends_well(lambda: run(live, pipeline, given(0)))
    found = files(live)
    assert {n: found[n] for n in artifacts(found)} == {n: known[0][n] for n in artifacts(known[0])}, "other results"
    assert not list(live.rglob("*.part")), "litter"
    return {"pipeline": pipeline, **counts, "seconds_of_a_run": round(took, 1)}


def run(root: Path, pipeline: str, given: dict[str, Any]) -> None:
    """What ``kedro run --env smoke --pipeline ... --params ...`` does."""
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env="smoke", runtime_params={"root": str(root), **given}) as session:
        session.run(pipeline_names=[pipeline])


def load_all(root: Path, pipeline: str) -> int:
    """Load every output of a pipeline through the catalog; how many there are."""
    from kedro.framework.project import pipelines
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env="smoke", runtime_params={"root": str(root)}) as session:
        catalog = session.load_context().catalog
        names = pipelines[pipeline].all_outputs()
        for name in names:
            catalog.load(name)
    return len(names)


def files(root: Path) -> dict[str, str]:
    """SHA-256 by file below ``root``."""
    return {str(path.relative_to(root)): _sha256(path) for path in _files(root)}


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def artifacts(found: dict[str, str]) -> list[str]:
    """Files that the same settings make with the same bytes, finished: no seals, notes, half-written or timed ones."""
    return [
        name
        for name in found
        if not any(part.startswith(".") for part in Path(name).parts)
        and Path(name).name not in TIMED | {"checkpoint.pt", "world.json", "import_log.json"}
        and _SHARDS not in Path(name).parts
    ]
