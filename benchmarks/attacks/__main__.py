"""Send every attack of ``files.ATTACKS`` to its reader, each in a process of its own, and record what became of it.

``make attacks`` writes benchmarks/attacks.json: the words of each refusal, the memory that the reader took beyond what
it had before, and seconds. One of them is no attack but the most that is taken. An attack that is accepted, outlives
its time or takes more than ``MOST_MIB`` is a failure.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.attacks.files import ATTACKS, parquet, read_challenge, read_checkpoint, read_ctr_model, read_encoder
from benchmarks.speed.machine import describe
from mmctr_kedro.common.errors import MmctrError

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "attacks.json"
ADDRESS_SPACE = 16 << 30  # a net below the project's own bounds: a failure here must not take the machine with it
MOST_MIB = 1024  # what the largest image that we take may need
SECONDS = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("--only", default="", help="attacks whose name holds this; nothing is written then")
    parser.add_argument("--step", nargs=3, metavar=("STEP", "NAME", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        step, name, folder = given.step
        print(json.dumps({"make": _make, "read": _read}[step](name, Path(folder))))
        return 0
    results = {}
    for name in ATTACKS:
        if given.only in name:
            results[name] = found = _attack(name)
            print(f"{name:45} {found['mib']:6.0f} MiB {found['seconds']:6.2f} s  {found['refused']}", flush=True)
    failed = [name for name, found in results.items() if not found["held"]]
    worst = max(results, key=lambda name: results[name]["mib"])
    held, most = len(results) - len(failed), results[worst]["mib"]
    print(f"\n{held} of {len(results)} held; most memory: {most:.0f} MiB ({worst})")
    if failed:
        print("\n".join(["Did not hold:", *failed]), file=sys.stderr)
    if not given.only:
        RESULTS.write_text(json.dumps({"machine": describe(ROOT), "attacks": results}, indent=1) + "\n")
    return bool(failed)


def _attack(name: str) -> dict[str, Any]:
    with TemporaryDirectory(prefix="attack_") as folder:
        _child("make", name, folder)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink())
        found = _child("read", name, folder)
        ran = (Path(folder) / "ran").exists()
    said = found.pop("said").replace(folder, "") if found["said"] else "ACCEPTED"
    held = re.search(ATTACKS[name].expected, said) is not None and not ran and found["mib"] <= MOST_MIB
    first = next(line for line in said.splitlines() if not re.match(r"\d+ problems? in the", line)).strip(" -")
    return {"bytes": size, **found, "refused": first[:240], "held": held}


def _child(step: str, name: str, folder: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.attacks", "--step", step, name, folder]
    try:
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"said": f"no answer in {SECONDS} s", "mib": float("inf"), "seconds": SECONDS}
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["nothing said"])[-1]
        return {"said": f"ended with {result.returncode}: {last}", "mib": float("inf"), "seconds": float("nan")}
    return json.loads(result.stdout.splitlines()[-1])


def _make(name: str, folder: Path) -> None:
    ATTACKS[name].make(folder, True)


def _read(name: str, folder: Path) -> dict[str, Any]:
    attack = ATTACKS[name]
    _warm_up(attack.read)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, start = _memory("VmRSS"), time.perf_counter()
    try:
        said = attack.read(folder)
    except MmctrError as error:
        said = str(error)
    seconds = time.perf_counter() - start
    return {"said": said, "mib": round(_memory("VmHWM") - before, 1), "seconds": round(seconds, 3)}


def _warm_up(read: Any) -> None:
    """Import what the reader imports, so that what is measured is its work."""
    import PIL.Image

    from mmctr_kedro.encoders import images  # noqa: F401
    from mmctr_kedro.pipelines.import_log import item_files, log_files, nodes  # noqa: F401

    PIL.Image.init()
    if read in (read_checkpoint, read_ctr_model, read_encoder):
        import torch  # noqa: F401
    if read is read_challenge:
        with TemporaryDirectory() as folder:
            parquet("train")(Path(folder), False)
            read(Path(folder))


def _memory(field: str) -> float:
    """MiB of this process, by Linux."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
