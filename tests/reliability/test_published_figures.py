"""docs/reliability.md says what the committed measurements say, and they are of the size that is promised."""

import json
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")


def measured(name: str) -> dict:
    return json.loads((PROJECT / "benchmarks" / f"{name}.json").read_text())


def test_the_kills_on_the_page_are_those_measured_and_all_were_survived():
    found = measured("chaos")
    assert found["kills"] == found["survived"] >= 200
    assert f"| {found['kills']} kills | {found['survived']} survived" in PAGE
    refused = sum(found["disks"].values()) + sum(found["tmpfs"].values())
    assert f"| disks that refuse | {refused} cases |" in PAGE


def test_the_mutated_files_on_the_page_are_those_measured_and_none_passed_altered():
    found = measured("fuzz")
    assert found["files"] >= 10_000
    assert found["accepted_altered"] == found["crash"] == 0
    said = (
        f"| {found['files']:,} files | {found['refused']:,} refused, {found['made_anew']:,} made anew, "
        f"{found['same']:,} of the same value, {found['as_it_stands']:,} read as they stand; "
        "0 accepted altered, 0 crashes |"
    )
    assert said in PAGE


def test_the_attacks_on_the_page_are_those_measured_and_all_were_held():
    attacks = measured("attacks")["attacks"]
    assert all(attack["held"] for attack in attacks.values())
    taken = {name: attack for name, attack in attacks.items() if "which are taken" in name}
    refused = max(attack["mib"] for name, attack in attacks.items() if name not in taken)
    assert f"| {len(attacks)} files | {len(attacks)} held; memory grew by at most {refused:.0f} MiB" in PAGE
    (most,) = taken.values()
    assert f"cost {most['mib']:.0f} MiB" in PAGE


@pytest.mark.parametrize(
    "path", sorted({word.strip("`,;.") for word in PAGE.split() if word.startswith("tests/") and word.strip("`,;.")})
)
def test_every_test_that_the_page_names_is_there(path):
    found = PROJECT / path
    assert found.exists(), path


def test_every_test_function_that_the_page_names_is_there():
    named = {word for word in PAGE.replace("`", " ").split() if word.startswith("test_") and "." not in word}
    sources = "".join(file.read_text() for file in (PROJECT / "tests").rglob("test_*.py"))
    assert named
    assert not {name for name in named if f"def {name}(" not in sources}
