"""Seals: what was written is known again, and nothing else is taken for it."""

import os
import shutil
import signal
import subprocess
import threading

import pytest

from mmctr_kedro.common import seals
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.seals import check_seal, seal, seal_of, sealed_digests, sealed_write


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
    assert set(sealed_digests(folder)) == {"things/below/one", "things/below/two"}


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
    with pytest.raises(MmctrError, match="things/below/three is one too many"):
        check_seal(folder)
    (below / "three").unlink()
    check_seal(folder)
    (below / "one").write_text("2")
    with pytest.raises(MmctrError, match="sha256 of things/below/one differs"):
        check_seal(folder)
    shutil.rmtree(below)
    with pytest.raises(MmctrError, match="things/below/one is missing, things/below/two is missing"):
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
    assert sealed_digests(tmp_path / "nothing") == {}


def test_sealing_what_is_there_writes_nothing_twice(file):
    before = seal_of(file).stat()
    seal(file)
    assert seal_of(file).stat() == before
    file.write_text("other")
    seal(file)
    check_seal(file)


@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize("sealed", [True, False])
def test_a_kill_at_any_rename_leaves_old_or_new_and_its_seal_fits(tmp_path, in_a_child, sealed, step):
    """The child dies at its nth rename, before it or after it; three renames make one sealed write."""
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
    assert path.read_text() == ("old" if step < 4 else "new")
    check_seal(path)
    path.write_text("neither")
    if sealed or step > 1:
        with pytest.raises(MmctrError, match="is not what was written"):
            check_seal(path)
    write(path, "third")
    check_seal(path)
    assert seal_of(path).read_text().count("#") == 1
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.txt", ".a.txt.sha256"}


def test_after_a_kill_no_mixture_of_old_and_new_is_taken(tmp_path):
    path = tmp_path / "things"
    write_folder(path, one="1", two="2")
    old = dict(sealed_digests(path))
    write_folder(path, one="A", two="B")
    seals._write(path, [old, sealed_digests(path)])  # as a kill leaves it
    check_seal(path)
    (path / "below" / "one").write_text("1")
    with pytest.raises(MmctrError, match=r"things/below/.* differs"):
        check_seal(path)


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
