"""Files made to do harm: each is refused in words, nothing in it is run, and memory stays within bounds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.attacks.files import ATTACKS
from mmctr_kedro.common.errors import MmctrError

ROOT = Path(__file__).parents[2]
# Those that would take most if their bound were gone, and do not take long.
GREEDY = (
    "zip that hides 10 GB",
    "zip of bzip2 that hides 2 GB",
    "tar.gz that goes on for 10 GB",
    "parquet that hides a list of 400 million",
    "png with 200 MB of text",
)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_and_nothing_of_it_run(name, tmp_path):
    attack = ATTACKS[name]
    attack.make(tmp_path, False)
    try:
        said = attack.read(tmp_path)
    except MmctrError as error:
        said = str(error)
    assert said is not None, "accepted"
    assert re.search(attack.expected, said), said
    assert not (tmp_path / "ran").exists()
    assert not re.search("0x[0-9a-f]{6}", said)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", GREEDY)
def test_an_attack_takes_little_memory(name, tmp_path):
    """In a process of its own, against what the file would decode to: 100 MB and more."""
    ATTACKS[name].make(tmp_path, False)
    command = ["-m", "benchmarks.attacks", "--step", "read", name, str(tmp_path)]
    result = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["mib"] < 64


def test_the_committed_figures_are_of_every_attack_and_each_held():
    results = json.loads((ROOT / "benchmarks" / "attacks.json").read_text())["attacks"]
    assert list(results) == list(ATTACKS)
    assert all(found["held"] for found in results.values())
