"""Digests of files and folders: nothing is read twice, no change is missed."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from mmctr_kedro.running.planner import contents as module
from mmctr_kedro.running.planner.contents import Contents, stamps


def digest(path, memory) -> str | None:
    contents = Contents(memory)
    found = contents.digest(path)
    contents.save()
    return found


@pytest.fixture
def memory(tmp_path):
    return tmp_path / "memory.json"


@pytest.fixture
def old(monkeypatch):
    """As if every file had been written long ago."""
    monkeypatch.setattr(module, "FRESH", -1)


@pytest.fixture
def reads(monkeypatch) -> list:
    read, found = module.sha256, []
    monkeypatch.setattr(module, "sha256", lambda path: found.append(path) or read(path))
    return found


def test_a_file_has_its_sha256(tmp_path, memory):
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a", memory) == hashlib.sha256(b"abc").hexdigest()


def test_nothing_has_no_digest(tmp_path, memory):
    (tmp_path / "empty").mkdir()
    assert digest(tmp_path / "none", memory) is digest(tmp_path / "empty", memory) is None
    assert stamps("a\0b") == {}


def test_what_was_read_once_is_not_read_by_the_next_process(tmp_path, memory, old, reads):
    (tmp_path / "a").write_text("abc")
    assert digest(tmp_path / "a", memory) == digest(tmp_path / "a", memory)
    assert len(reads) == 1


def test_what_was_written_a_moment_ago_is_read_again(tmp_path, memory, reads):
    """Two writes within one tick of a filesystem's clock look alike."""
    (tmp_path / "a").write_text("abc")
    assert digest(tmp_path / "a", memory) == digest(tmp_path / "a", memory)
    assert len(reads) == 2


def test_another_content_of_the_same_size_and_time_is_noticed(tmp_path, memory, old):
    path = tmp_path / "a"
    path.write_text("abc")
    when, before = path.stat().st_mtime_ns, digest(path, memory)
    time.sleep(0.02)
    path.write_text("xyz")
    os.utime(path, ns=(when, when))
    assert digest(path, memory) != before


def test_a_folder_counts_by_names_and_contents_but_not_by_dot_files(tmp_path, memory):
    folder = tmp_path / "folder"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a").write_text("abc")
    first = digest(folder, memory)
    (folder / ".seal").write_text("1")
    (folder / ".temporary").mkdir()
    (folder / ".temporary" / "half").write_text("1")
    assert digest(folder, memory) == first
    (folder / "in" / "a").rename(folder / "in" / "b")
    second = digest(folder, memory)
    (folder / "in" / "b").write_text("xyz")
    assert len({first, second, digest(folder, memory)}) == 3


def test_links_are_followed_where_they_lead_somewhere(tmp_path, memory):
    far, folder = tmp_path / "far", tmp_path / "folder"
    far.mkdir()
    folder.mkdir()
    (far / "a").write_text("abc")
    (folder / "link").symlink_to(far)
    (folder / "nowhere").symlink_to(tmp_path / "none")
    first = digest(folder, memory)
    (far / "a").write_text("xyz")
    assert digest(folder, memory) != first


def test_a_pipe_is_not_waited_for(tmp_path, memory):
    os.mkfifo(tmp_path / "pipe")
    assert digest(tmp_path / "pipe", memory) is None


def test_a_broken_memory_is_none(tmp_path, memory):
    memory.write_text("{half")
    (tmp_path / "a").write_bytes(b"abc")
    assert digest(tmp_path / "a", memory) == hashlib.sha256(b"abc").hexdigest()
