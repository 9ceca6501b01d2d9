"""Seals: what was written is known again, and nothing else is taken for it."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest

from mmctr_kedro.common import seals
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import sweep_below
from mmctr_kedro.common.seals import check_seal, seal_of, sealed_write


def write(path, text):
    with sealed_write(path) as temporary:
        temporary.write_text(text)


def write_folder(path, **texts):
    with sealed_write(path) as temporary:
        (temporary / "below").mkdir(parents=True)
        for name, text in texts.items():
            (temporary / "below" / name).write_text(text)


@pytest.fixture
def file(tmp_path):
    write(tmp_path / "a.txt", "old")
    return tmp_path / "a.txt"


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "things", one="1", two="2")
    return tmp_path / "things"


def test_the_seal_is_what_sha256sum_checks(file, folder):
    for path in (file, folder):
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", seal_of(path).name], cwd=path.parent, capture_output=True, check=False
        )
        assert checked.returncode == 0, checked
    assert "  things/below/one\n" in seal_of(folder).read_text()


@pytest.mark.parametrize("damage", [b"", b"ol", b"olD", b"old\0"])
def test_a_damaged_or_cut_file_is_refused_with_the_way_out(file, damage):
    file.write_bytes(damage)
    with pytest.raises(MmctrError, match=r"a\.txt is not what was written.*kedro run.*remove .*/\.a\.txt\.sha256"):
        check_seal(file)
    seal_of(file).unlink()
    check_seal(file)


def test_a_half_copied_a_damaged_and_an_enlarged_folder_are_refused(folder):
    below = folder / "below"
    (below / "three").write_text("3")
    with pytest.raises(MmctrError, match="things/below/three differs"):
        check_seal(folder)
    (below / "three").unlink()
    check_seal(folder)
    (below / "one").write_text("2")
    with pytest.raises(MmctrError, match="things/below/one differs"):
        check_seal(folder)
    shutil.rmtree(below)
    with pytest.raises(MmctrError, match="things/below/one, things/below/two differs"):
        check_seal(folder)


def test_a_file_is_looked_at_again_once_it_changed_and_only_then(file, monkeypatch):
    os.utime(file)
    monkeypatch.setattr(seals, "_TICK", -1)  # as if long ago
    check_seal(file)
    with monkeypatch.context() as patch:
        patch.setattr(seals, "sha256", None)
        check_seal(file)
    file.write_text("new")
    with pytest.raises(MmctrError, match="differs"):
        check_seal(file)


@pytest.mark.parametrize("left", [0, 1, 40, 70, -2])
def test_a_cut_seal_is_no_seal_for_anything(file, left):
    whole = seal_of(file).read_bytes()
    seal_of(file).write_bytes(whole[:left])
    with pytest.raises(MmctrError, match="is not what was written"):
        check_seal(file)


def test_a_file_without_a_seal_is_taken_as_it_is_and_one_that_is_not_there_too(tmp_path):
    (tmp_path / "mine").write_text("anything")
    check_seal(tmp_path / "mine")
    check_seal(tmp_path / "nothing")


def test_what_is_there_already_is_left_alone_and_sealed(file):
    before = file.stat(), seal_of(file).stat()
    write(file, "old")
    assert (file.stat(), seal_of(file).stat()) == before
    seal_of(file).unlink()
    write(file, "old")
    assert seal_of(file).is_file()
    assert file.stat() == before[0]


def test_an_error_leaves_the_old_one_and_its_seal(file):
    with pytest.raises(TypeError), sealed_write(file) as temporary:
        temporary.open("w").write(b"not text")
    assert file.read_text() == "old"
    check_seal(file)
    assert {entry.name for entry in file.parent.iterdir()} == {"a.txt", ".a.txt.sha256"}


@pytest.mark.parametrize("step", range(1, 5))
@pytest.mark.parametrize("sealed", [True, False])
def test_a_kill_at_any_rename_leaves_old_or_new_and_its_seal_fits(tmp_path, in_a_child, sealed, step):
    """The child dies at its nth rename, before it or after it; two renames make one sealed write."""
    path = tmp_path / "a.txt"
    write(path, "old")
    if not sealed:
        seal_of(path).unlink()

    def write_and_die():
        replace, calls = os.replace, []

        def counted(source, goal):
            calls.append(goal)
            if 2 * len(calls) - 1 == step:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, goal)
            if 2 * len(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = counted  # the child's own
        write(path, "new")

    assert in_a_child(write_and_die) == -signal.SIGKILL
    assert path.read_text() == ("old" if step < 2 else "new")
    check_seal(path)
    write(path, "third")
    check_seal(path)
    sweep_below(tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.txt", ".a.txt.sha256"}


def test_a_kill_at_any_moment_leaves_old_or_new_of_a_file_and_of_a_folder(tmp_path):
    """Twenty kills of a process that writes two versions in turn."""

    def write_forever():
        for turn in itertools.count():
            write(tmp_path / "a.txt", str(turn % 2) * 100_000)
            write_folder(tmp_path / "things", one=str(turn % 2), two=str(turn % 2))

    rng = random.Random(0)
    for _ in range(20):
        if (child := os.fork()) == 0:
            write_forever()
        time.sleep(rng.uniform(0.01, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        for path in (tmp_path / "a.txt", tmp_path / "things"):
            check_seal(path)
        if (tmp_path / "things").exists():
            one, two = ((tmp_path / "things" / "below" / name).read_text() for name in ("one", "two"))
            assert one == two
    sweep_below(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"a.txt", "things", ".a.txt.sha256", ".things.sha256"}


def test_a_reader_beside_a_writer_never_takes_the_new_one_for_damage(tmp_path):
    path = tmp_path / "things"
    write_folder(path, one="1", two="2")
    found, done = [], threading.Event()

    def read():
        while not done.is_set():
            try:
                check_seal(path)
            except MmctrError as error:
                found.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(60):
            write_folder(path, one=str(turn), two=str(-turn))
    finally:
        done.set()
        reader.join()
    assert found == []
