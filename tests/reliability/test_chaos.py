"""Kills and refusing disks, a short run of what ``make chaos`` does at length (benchmarks/chaos.json)."""

import json
from pathlib import Path

import pytest

from benchmarks.chaos import disks, kills
from benchmarks.chaos.artifacts import kinds

FIGURES = Path(__file__).parents[2] / "benchmarks" / "chaos.json"


@pytest.fixture(scope="module")
def every():
    return kinds(heavy=False)


def test_every_artifact_survives_fifteen_kills_at_random_points(tmp_path, every):
    figures = kills.kill_writers(tmp_path, every, kills=15)
    assert figures["saves"] > 0
    assert figures["old"] + figures["new"] == figures["in_a_save"] > 0


def test_a_disk_that_refuses_at_any_step_leaves_every_old_artifact_and_says_so(tmp_path, every):
    figures = disks.injected(tmp_path, every)
    assert figures["EFBIG of the kernel"] == len(every)
    assert figures["ENOSPC of /dev/full"] > 0


def test_a_full_and_a_read_only_filesystem_leave_every_old_artifact_and_say_so(tmp_path, every):
    figures = disks.mounted(tmp_path, every)
    if "skipped" in figures:
        pytest.skip(figures["skipped"])
    assert figures["refused by a full tmpfs"] >= len(every)
    assert figures["refused by a read-only tmpfs"] == len(every)


def test_a_writer_that_is_not_atomic_is_found_out(tmp_path, every):
    """The same kills on a plain ``open`` and ``write``: the measure itself can fail."""

    def slow(path, version):
        path.write_text(str(version))
        with path.open("a") as file:
            for _ in range(2000):
                file.write(f"{version}\n" * 100)
                file.flush()

    plain = kills.Kind("plain.txt", slow, lambda path: path.read_text())
    with pytest.raises(AssertionError, match=r"plain\.txt is neither old nor new"):
        kills.kill_writers(tmp_path, [plain], kills=50)


def test_the_committed_figures_are_of_at_least_two_hundred_kills_and_all_were_survived():
    figures = json.loads(FIGURES.read_text())
    assert figures["survived"] == figures["kills"] >= 200
    assert {run["data"] for run in figures["runs"]} == {"simulated", "imported", "simulated, main job"}
