"""Atomic writing: the old file or folder, or the new one, and nothing else left beside it."""

import os

import pytest

from mmctr_kedro.files import atomic_write


@pytest.fixture
def folder(tmp_path):
    """A folder with one file in it."""
    path = tmp_path / "made" / "things"
    path.mkdir(parents=True)
    (path / "old").write_text("old")
    return path


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_file_appears_when_the_block_ends_well_and_its_folder_is_made(tmp_path):
    with atomic_write(tmp_path / "a" / "b.txt") as temporary:
        temporary.write_text("new")
        assert not (tmp_path / "a" / "b.txt").exists()
    assert contents(tmp_path / "a") == {"b.txt": "new"}


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "b.txt").write_text("old")
    with pytest.raises(TypeError), atomic_write(tmp_path / "b.txt") as temporary:
        temporary.open("w").write(b"not text")
    assert contents(tmp_path) == {"b.txt": "old"}


def test_a_folder_takes_the_place_of_another_whole(folder):
    with atomic_write(folder) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")
    assert contents(folder) == {"new": "new"}
    assert [path.name for path in folder.parent.iterdir()] == ["things"]


def test_a_folder_that_cannot_be_replaced_is_as_it_was(folder, monkeypatch):
    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"), atomic_write(folder) as temporary:
        temporary.mkdir()
    assert contents(folder) == {"old": "old"}
    assert [path.name for path in folder.parent.iterdir()] == ["things"]
