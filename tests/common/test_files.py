"""Atomic writing: the old file or folder, or the new one, and nothing else left beside it."""

import errno
import os
import resource
import signal

import numpy as np
import pytest

from mmctr_kedro.common import files
from mmctr_kedro.common.errors import DiskError
from mmctr_kedro.common.files import atomic_write, remove, scratch, sweep_below


@pytest.fixture
def folder(tmp_path):
    """A folder with one file in it."""
    path = tmp_path / "made" / "things"
    path.mkdir(parents=True)
    (path / "old").write_text("old")
    return path


@pytest.fixture
def no_swap(monkeypatch):
    """A filesystem that cannot swap two names."""
    monkeypatch.setattr(files, "_exchange", lambda *_: False)


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def write_folder(path):
    with atomic_write(path) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("new")


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


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


def test_a_scratch_folder_goes_with_its_block_after_an_error_too(tmp_path):
    with scratch(tmp_path / "deep" / "log") as room:
        (room / "file").write_bytes(b"some")
    with pytest.raises(TypeError), scratch(tmp_path / "deep" / "log") as room:
        (room / "file").open("w").write(b"not text")
    assert not list((tmp_path / "deep").iterdir())


@pytest.mark.parametrize("swap", [True, False])
def test_a_folder_takes_the_place_of_another_whole(folder, swap, request):
    if not swap:
        request.getfixturevalue("no_swap")
    write_folder(folder)
    assert contents(folder) == {"new": "new"}
    assert [path.name for path in folder.parent.iterdir()] == ["things"]


def test_a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file(folder):
    with atomic_write(folder) as temporary:
        temporary.write_text("file")
    assert folder.read_text() == "file"
    write_folder(folder)
    assert contents(folder) == {"new": "new"}


def test_a_folder_is_there_at_every_moment_of_its_replacement(folder, in_a_child, monkeypatch):
    """Killed right before and right after the one step there is."""
    swap = files._exchange

    def swap_and_die(*names):
        swap(*names)
        die()

    for step, left in [(die, {"old": "old"}), (swap_and_die, {"new": "new"})]:
        monkeypatch.setattr(files, "_exchange", step)
        assert in_a_child(lambda: write_folder(folder)) == -signal.SIGKILL
        assert contents(folder) == left


def test_a_folder_that_cannot_be_replaced_is_as_it_was(folder, no_swap, monkeypatch):
    def fail(*_):
        raise OSError("no luck")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no luck"):
        write_folder(folder)
    assert contents(folder) == {"old": "old"}
    assert [path.name for path in folder.parent.iterdir()] == ["things"]


def test_a_tree_is_swept_of_killed_writers_and_of_nothing_else(folder, in_a_child):
    def write_and_die():
        with atomic_write(folder / "new") as temporary:
            temporary.write_text("half")
            die()

    assert in_a_child(write_and_die) == -signal.SIGKILL
    assert len(list(folder.glob(".new.*"))) == 1
    (folder.parent / ".a.settings").mkdir()
    sweep_below(folder.parent)
    assert contents(folder) == {"old": "old"}
    assert (folder.parent / ".a.settings").is_dir()


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with atomic_write(tmp_path / "a") as slow:
        slow.write_text("slow")
        with atomic_write(tmp_path / "a") as quick:
            quick.write_text("quick")
        assert (tmp_path / "a").read_text() == "quick"
    assert contents(tmp_path) == {"a": "slow"}


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_refuses_is_a_message_and_the_old_file_stays(tmp_path, monkeypatch, code, step):
    (tmp_path / "b.txt").write_text("old")

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, step, refuse)
    with (
        pytest.raises(
            DiskError,
            match=rf"b\.txt could not be written: {os.strerror(code)}.*is whole.*--params root=",
        ),
        atomic_write(tmp_path / "b.txt") as temporary,
    ):
        temporary.write_text("new")
    assert contents(tmp_path) == {"b.txt": "old"}


def test_a_library_that_does_not_say_why_it_could_not_write_is_asked_of_the_disk(tmp_path, in_a_child):
    def write_little():
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with pytest.raises(DiskError, match="File too large"), atomic_write(tmp_path / "a.npy") as temporary:
            np.save(temporary, np.zeros(1000))

    assert in_a_child(write_little) == 0


def test_no_permission_is_a_message_and_another_files_matter_is_not(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(files, "mkdtemp", refuse)
        with pytest.raises(DiskError, match="Make that place writable"), atomic_write(tmp_path / "b"):
            pass
    with pytest.raises(PermissionError), atomic_write(tmp_path / "b"):
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else")


def test_a_folder_is_removed_in_one_step(folder, in_a_child, monkeypatch):
    monkeypatch.setattr(files.shutil, "rmtree", die)
    assert in_a_child(lambda: remove(folder)) == -signal.SIGKILL
    assert not folder.exists()
    monkeypatch.undo()
    remove(folder)
    sweep_below(folder.parent)
    assert list(folder.parent.iterdir()) == []
