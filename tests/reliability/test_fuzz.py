"""Mutated files crash no reader, and none passes with other values than it had; `make fuzz` tries thousands more."""

import json
from pathlib import Path

import numpy as np
import pytest
from kedro.config import OmegaConfigLoader

from benchmarks.fuzz.__main__ import FIGURES, plan
from benchmarks.fuzz.cases import BAD, MUTATIONS, Bench, Reader, mutate
from benchmarks.fuzz.isolated import isolated
from benchmarks.fuzz.readers import ARTIFACTS, CONF, ELSEWHERE, READERS, catalog
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.settings import CONFIG_LOADER_ARGS

CASES = 300


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pyarrow's, of rows that are no UTF-8
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_no_mutated_file_crashes_its_reader_or_passes_altered(reader, bench):
    own = [case for place, case in plan(READERS, CASES) if READERS[place] is reader]
    assert own
    bad = [outcome for case in own if (outcome := bench.case(reader, case)).verdict in BAD]
    assert not bad, "\n".join(f"case {outcome.case}, {outcome.change}: {outcome.told}" for outcome in bad)


def test_three_hundred_files_are_tried_here():
    assert len(plan(READERS, CASES)) >= 300


def test_every_class_of_dataset_in_the_catalog_is_tried_or_has_a_reason(tmp_path):
    loader = OmegaConfigLoader(str(CONF), env="smoke", **CONFIG_LOADER_ARGS)
    classes = {entry["type"].rsplit(".", 1)[-1] for name, entry in loader["catalog"].items() if name[0] != "_"}
    tried = {type(catalog(tmp_path).get(name)).__name__ for name in ARTIFACTS}
    renamed = {"PlotlyDataset": "JSONDataset"} if "PlotlyDataset" not in tried else {}
    assert {renamed.get(name, name) for name in classes} <= tried | set(ELSEWHERE)


# --- the fuzz itself: a reader that is at fault is found out ---------------------------------------------


def numbers(read, plain=None, heals=None) -> Reader:
    """A reader of a file of 64 numbers."""

    def make(folder: Path) -> None:
        (folder / "numbers").write_bytes(bytes(range(64)))

    return Reader("numbers", make, lambda folder: read((folder / "numbers").read_bytes()), plain, heals)


def verdicts(reader: Reader, bench_folder: Path, cases: int = 40) -> set[str]:
    bench = Bench(bench_folder)
    return {bench.case(reader, case).verdict for case in range(cases)}


def refuse(data: bytes) -> bytes:
    if data != bytes(range(64)):
        raise MmctrError("not what was written")
    return data


def test_a_reader_that_takes_other_values_for_its_own_is_found_out(tmp_path):
    assert verdicts(numbers(lambda data: list(data)), tmp_path) == {"ACCEPTED ALTERED"}


def test_a_reader_that_fails_with_another_error_is_found_out(tmp_path):
    assert "CRASH" in verdicts(numbers(lambda data: data[63]), tmp_path)


def test_a_reader_that_loses_parts_without_a_word_is_found_out(tmp_path):
    silent = numbers(
        lambda data: list(data) if data == bytes(range(64)) else None, heals=lambda value, _: value is None
    )
    assert verdicts(silent, tmp_path) == {"ACCEPTED ALTERED"}


def test_a_reader_that_misreads_what_a_user_brings_is_found_out(tmp_path):
    reader = numbers(lambda data: data + b"!", plain=lambda folder: (folder / "numbers").read_bytes())
    assert verdicts(reader, tmp_path) == {"ACCEPTED ALTERED"}


def test_refusing_and_reading_as_it_stands_are_right(tmp_path):
    assert verdicts(numbers(refuse), tmp_path) == {"refused"}
    (tmp_path / "other").mkdir()
    honest = numbers(lambda data: data, plain=lambda folder: (folder / "numbers").read_bytes())
    assert verdicts(honest, tmp_path / "other") == {"as it stands"}


def test_a_case_is_the_same_at_every_try(tmp_path):
    reader = READERS[0]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    benches = [Bench(tmp_path / name) for name in "ab"]
    first, second = ([bench.case(reader, case) for case in range(8)] for bench in benches)
    assert [outcome.change for outcome in first] == [outcome.change for outcome in second]
    assert [outcome.verdict for outcome in first] == [outcome.verdict for outcome in second]


@pytest.mark.parametrize("data", [bytes(200), b"12 apples", b"x"])
def test_every_mutation_gives_other_bytes(data):
    import random

    changes = {mutate(data, random.Random(seed)) for seed in range(300)}
    assert all(changed != data for changed, _ in changes)
    assert len({how for _, how in changes}) >= len(MUTATIONS) - 5


def test_a_case_whose_process_dies_is_a_crash_and_the_rest_goes_on():
    """The number in the middle has more digits than Python writes, which ends the process that is to name the case."""
    found = [outcome for outcome, *_ in isolated([(0, 0), (0, 10**5000), (0, 1)])]
    assert [outcome.verdict in BAD for outcome in found] == [False, True, False]
    assert found[1].told == "the process ended with 1"


# --- what the last full run found ------------------------------------------------------------------------


def test_the_committed_figures_are_of_every_reader_and_without_fault():
    found = json.loads(FIGURES.read_text())
    assert found["files"] >= 10_000
    assert found["crash"] == found["accepted_altered"] == 0
    assert {name for name, counts in found["readers"].items() if counts["files"] >= 100} == {r.name for r in READERS}
    totals = np.array([list(counts.values())[:7] for counts in found["readers"].values()]).sum(axis=0)
    assert totals.tolist() == list(found.values())[:7]
