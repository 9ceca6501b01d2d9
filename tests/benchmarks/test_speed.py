"""The speed benchmark runs from data to page, at a tiny size and in one process; its committed page is current."""

import asyncio
import itertools
import json
import time

import numpy as np
import pytest

from benchmarks.speed import page, plan, serving
from benchmarks.speed.__main__ import PAGE, RESULTS, measure
from benchmarks.speed.arithmetic import din_flops
from benchmarks.speed.block import run

SECTIONS = ["din", "profile", "rows", "auc", "extraction"]  # the others take a minute even when tiny
ABOUT = {
    "processor": "a processor",
    "flags": [],
    "cores": 2,
    "memory_gb": 8.0,
    "python": "3.11",
    "torch": "2",
    "numpy": "2",
    "fuxictr": "2.3.7",
    "commit": "0",
    "uncommitted_changes": False,
    "date": "today",
    "command": "make bench",
    "threads": 1,
}


@pytest.fixture(scope="module")
def sections(tmp_path_factory):
    return measure(SECTIONS, plan.TINY, 1, tmp_path_factory.mktemp("benchmark"), run)


@pytest.mark.slow
def test_every_block_measures_something(sections):
    for blocks in sections.values():
        for block in blocks:
            measured = block.get("train_rows_per_second") or block.get("gflops") or block.get("auc")
            measured = measured or block.get("items_per_second")
            assert measured or block["operations"], block["name"]


@pytest.mark.slow
def test_the_page_has_every_section_and_goal(sections):
    text = page.markdown({"sections": {name: {"about": ABOUT, "blocks": some} for name, some in sections.items()}})
    for title in ("The fixed DIN", "Where a training step", "More rows", "AUC in bf16", "Titles and covers"):
        assert f"## {title}" in text
    assert text.count("| met |") + text.count("| missed |") == 7


def test_a_stopped_run_goes_on_with_what_it_has(tmp_path):
    measure(["auc"], plan.TINY, 1, tmp_path, lambda block: {**block.__dict__, "auc": 0.5})
    again = measure(["auc"], plan.TINY, 1, tmp_path, pytest.fail, resume=True)
    assert [block["auc"] for block in again["auc"]] == [0.5] * 3
    other = measure(["auc"], plan.TINY, 1, tmp_path, lambda _: {"auc": 0.6}, resume=True, commit="another")
    assert [block["auc"] for block in other["auc"]] == [0.6] * 3


def test_a_row_without_history_needs_its_item_its_query_and_the_dnn():
    item, query = 128 * 128 + 256 * 512, 256 * 512
    dnn = 640 * 1024 + 1024 * 512 + 512 * 256 + 256
    assert din_flops(rows=1, positions=0, items=1, training=False) == 2 * (item + query + dnn)


def test_the_committed_page_is_what_its_json_says():
    assert PAGE.read_text() == page.markdown(json.loads(RESULTS.read_text()))
    assert str(PAGE.parents[1]) not in RESULTS.read_text()


def test_a_stall_counts_for_every_request_that_was_due_in_it():
    stalled = []

    async def ask(_: bytes) -> float:
        if not stalled:
            stalled.append(time.sleep(0.5))
        return 0.0

    asked = serving._latencies(ask, itertools.repeat(b""), 100, 0.2, np.random.default_rng(0))
    latency, _ = asyncio.run(asked)
    assert len(latency) == 20
    assert sum(seconds > 0.2 for seconds in latency) > 15
