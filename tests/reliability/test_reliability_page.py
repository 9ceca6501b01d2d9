"""docs/reliability.md names tests that are there."""

from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")


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
