"""What makes a result stale, what does not, and what is never kept."""

from __future__ import annotations

import multiprocessing
from functools import partial, update_wrapper
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from kedro.io import AbstractDataset, DatasetError, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro_datasets.text import TextDataset

from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.datasets.stores import StoreDataset
from mmctr_kedro.running.planner import plan as plan_module


def test_a_second_update_runs_nothing(toy):
    assert toy.update() == []
    assert {verdict for verdict, _ in toy.plan().values()} == {"keep"}


@pytest.mark.parametrize("path", ["README.md", "toy/notes.txt", "data/other.txt"])
def test_an_edit_of_what_no_node_reads_runs_nothing(toy, path):
    (toy.folder / path).write_text("new words")
    assert toy.update() == []


def test_an_edit_of_comments_docstrings_and_layout_runs_nothing(toy):
    toy.edit("loud", '"""Shout."""', '"""Shout loudly."""  # very')
    toy.edit("tools", "return text + text", "return (\n        text + text\n    )")
    assert toy.update() == []


def test_a_changed_setting_runs_the_nodes_that_see_it_and_what_follows(toy):
    toy.settings = {"times": 3}
    assert toy.plan()["polish"] == ("maybe", ["if loud changes"])
    assert toy.why("loud") == "params:settings.times 2 -> 3"
    assert toy.update() == ["loud", "polish", "doubled"]
    assert toy.update() == []


def test_a_changed_default_of_a_settings_class_counts(toy):
    toy.edit("settings", "times: int = 2", "times: int = 5")
    assert "params:settings.times 2 -> 5" in toy.why("loud")
    assert toy.update() == ["loud", "polish", "doubled"]


def test_a_changed_import_counts_for_the_nodes_that_use_it(toy):
    toy.edit("tools", "text + text", 'text + "-" + text')
    assert toy.why("doubled") == "source changed: tools.py"
    assert toy.update() == ["doubled"]


def test_an_import_inside_a_function_counts(toy):
    toy.edit("hidden", "strip()", "strip() + '?'")
    assert toy.why("polish") == "source changed: hidden.py"
    assert toy.update() == ["polish", "doubled"]


def test_a_module_imported_by_a_name_put_together_at_run_time_counts(toy):
    toy.edit("kinds/letters", "len(text)", "len(text) + 1")
    assert toy.update() == ["length"]


def test_a_file_that_no_node_imports_runs_nothing(toy):
    (toy.folder / "toy" / "unused.py").write_text("from toy.tools import double\n")
    assert toy.update() == []


def test_changed_raw_data_runs_what_reads_it(toy):
    (toy.data / "raw.txt").write_text("xyz")
    assert toy.why("loud") == "raw changed"
    assert sorted(toy.update()) == ["doubled", "length", "loud", "polish"]


def test_a_result_remade_with_equal_bytes_keeps_what_follows(toy):
    toy.edit("loud", "raw.upper()", "raw.lower().upper()")
    assert toy.update() == ["loud"]
    assert toy.update() == []


def test_a_deleted_result_is_made_again_and_nothing_else(toy):
    (toy.data / "polished.txt").unlink()
    assert toy.why("polish") == "polished is missing"
    assert toy.update() == ["polish"]


def test_a_result_changed_by_hand_is_made_again(toy):
    right = (toy.data / "loud.txt").read_text()
    (toy.data / "loud.txt").write_text("by hand")
    assert toy.why("loud") == "loud is not what this node wrote"
    assert toy.update() == ["loud"]
    assert (toy.data / "loud.txt").read_text() == right


def test_another_installed_version_counts(toy, monkeypatch):
    installed = metadata.version("numpy")
    monkeypatch.setattr(metadata.Distribution, "discover", lambda **_: [SimpleNamespace(version="0.1")])
    toy.lock.touch()  # as an installation touches site-packages
    assert toy.why("length") == f"numpy {installed} -> 0.1"


def test_a_package_more_in_the_lock_runs_nothing(toy):
    toy.lock.write_text(f"{toy.lock.read_text()}pandas==1.0 ; python_version > '3'\n")
    assert toy.update() == []


def test_a_plain_run_recomputes_everything_and_its_results_are_kept(toy):
    assert len(toy.run()) == 4
    assert toy.update() == []


def test_what_a_plain_run_made_with_other_settings_is_not_kept(toy):
    toy.settings = {"mark": "?"}
    toy.run()
    toy.settings = {}
    assert toy.update() == ["loud", "polish", "doubled"]
    assert "?" not in (toy.data / "doubled.txt").read_text()


def test_what_an_unrecorded_run_left_is_not_kept(toy):
    """As of another tool, or of a time before there were records."""
    records = {path: path.read_text() for path in (toy.data / ".plan").glob("*.json")}
    toy.settings = {"mark": "?"}
    toy.run()
    toy.settings = {}
    for path, text in records.items():
        path.write_text(text)
    assert toy.update() == ["loud", "polish", "doubled"]


def test_a_lost_or_broken_record_runs_its_node(toy):
    (toy.data / ".plan" / "length.json").write_text("{half")
    (toy.data / ".plan" / "loud.json").unlink()
    assert sorted(toy.update()) == ["length", "loud"]


def test_a_dry_run_runs_and_writes_nothing(fresh):
    assert {verdict for verdict, _ in fresh.plan().values()} == {"run"}
    assert [path.name for path in fresh.data.rglob("*")] == ["raw.txt"]


def test_a_kill_keeps_what_was_finished(fresh):
    fresh.edit("hidden", "    return", "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n    return")
    child = multiprocessing.get_context("fork").Process(target=fresh.update)
    child.start()
    child.join()
    assert child.exitcode == -9
    fresh.edit("hidden", "    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n", "")
    verdicts = {name: verdict for name, (verdict, _) in fresh.plan().items()}
    assert verdicts["loud"] == "keep"
    assert fresh.update()[-2:] == ["polish", "doubled"]


def test_a_failed_node_is_not_kept(toy):
    toy.edit("hidden", "text.strip()", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        toy.update()
    toy.edit("hidden", "1 / 0", "text.strip()")
    assert toy.update() == []  # what lies there is of the code that is back


def test_a_disk_that_takes_no_record_fails_no_run(fresh, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plan_module, "atomic_write", full)
    assert len(fresh.update()) == 4
    assert len(fresh.update()) == 4


def test_an_input_that_changes_while_a_node_reads_it_is_not_taken_for_read(fresh):
    """The node read the old text; to record the new one would keep a result of other data."""
    raw = fresh.data / "raw.txt"
    fresh.edit("loud", "    return raw.upper()", f"    open({str(raw)!r}, 'w').write('late')\n    return raw.upper()")
    assert "loud" in fresh.update()
    assert fresh.why("loud") == "not run before"


class Fleeting(TextDataset):
    """Another one as soon as it was read."""

    def load(self) -> str:
        text = super().load()
        Path(self._filepath).write_text(text + "more")
        return text


def test_an_input_that_changes_between_loading_and_running_is_not_taken_for_read(fresh):
    fresh.extra = {"raw": Fleeting(filepath=str(fresh.data / "raw.txt"))}
    fresh.update()
    assert fresh.why("length") == "not run before"


class Full(TextDataset):
    def save(self, data: str) -> None:
        raise OSError(28, "No space left on device")


def test_a_node_whose_second_output_was_not_saved_is_not_kept(toy):
    toy.pipeline = lambda: Pipeline([node(both, "raw", ["length", "second"], name="both")])
    path = str(toy.data / "second.txt")
    toy.extra = {"second": TextDataset(filepath=path)}
    assert toy.update() == ["both"]
    (toy.data / "raw.txt").write_text("xyz")
    toy.extra = {"second": Full(filepath=path)}
    with pytest.raises(DatasetError):
        toy.update()
    toy.extra = {"second": TextDataset(filepath=path)}
    assert toy.why("both") == "raw changed; length is not what this node wrote"


def both(text: str) -> tuple[str, str]:
    return text + "1", text + "2"


def test_source_that_changes_while_the_process_runs_is_not_taken_for_run(fresh):
    """What was imported when cannot be told afterwards."""
    tools = fresh.folder / "toy" / "tools.py"
    fresh.edit("hidden", "    return", f"    open({str(tools)!r}, 'a').write('# later')\n    return")
    assert len(fresh.update()) == 4
    fresh.edit("hidden", f"    open({str(tools)!r}, 'a').write('# later')\n", "")
    assert fresh.why("doubled") == "not run before"


def test_a_value_bound_by_partial_counts(toy):
    def pipeline(sign):
        from toy.polish import polish

        bound = update_wrapper(partial(join, sign=sign), join)
        return Pipeline([node(bound, "raw", "loud", name="join"), node(polish, "loud", "polished", name="polish")])

    for sign, ran in (("+", ["join", "polish"]), ("+", []), ("-", ["join", "polish"])):
        toy.pipeline = lambda sign=sign: pipeline(sign)
        assert toy.update() == ran


def join(text: str, *, sign: str) -> str:
    return sign.join(text)


def test_another_wiring_counts(toy):
    toy.pipeline = lambda: Pipeline([node(join_two, ["raw", "loud"], "doubled", name="doubled")])
    assert toy.update() == ["doubled"]
    toy.pipeline = lambda: Pipeline([node(join_two, ["loud", "raw"], "doubled", name="doubled")])
    assert toy.why("doubled") == "it is wired otherwise in the pipeline"


def join_two(one: str, other: str) -> str:
    return one + other


def test_another_way_of_saving_counts(toy):
    path = str(toy.data / "length.txt")
    toy.extra = {"length": TextDataset(filepath=path, fs_args={"open_args_save": {"newline": "\r\n"}})}
    assert toy.why("length") == "catalog entry length changed"


def test_the_whole_tree_of_parameters_counts_by_value(toy):
    toy.pipeline = lambda: Pipeline([node(lambda tree: str(tree), "parameters", "length", name="tree")])
    assert toy.update() == ["tree"]
    assert toy.update() == []  # although the tree names the data root, where files have changed
    toy.settings = {"times": 9}
    assert toy.why("tree") == "parameters.settings.times 2 -> 9"


def test_a_folder_that_a_setting_names_counts_by_its_content(toy):
    model = toy.folder / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    toy.settings = {"mark": str(model)}
    assert "loud" in toy.update()
    assert toy.update() == []
    (model / "weights").write_text("2")
    assert toy.why("loud") == f"{model} changed"


# --- datasets of other kinds -----------------------------------------------------------------------------


class Spoken(AbstractDataset):
    """Says itself what it is."""

    def __init__(self, *, words: list[str]) -> None:
        self.words = words

    def fingerprint(self) -> str:
        return self.words[0]

    def load(self) -> str:
        return self.words[0]

    def save(self, data: str) -> None: ...

    def _describe(self) -> dict:
        return {}


def test_a_dataset_may_say_itself_what_it_is(toy):
    words = ["commit 1"]
    toy.extra = {"raw": Spoken(words=words), "length": TextDataset(filepath=str(toy.data / "length.txt"))}
    toy.pipeline = lambda: Pipeline([node(same, "raw", "length", name="said")])
    assert toy.update() == ["said"]
    toy.extra["raw"] = Spoken(words=["commit 2"])
    assert "raw changed" in toy.why("said")


def same(text: str) -> str:
    return text


def test_what_lies_in_no_file_is_never_kept(toy):
    toy.extra = {"memory": MemoryDataset("abc")}
    toy.pipeline = lambda: Pipeline(
        [node(same, "memory", "length", name="from"), node(same, "raw", "passing", name="to")]
    )
    assert sorted(toy.update()) == sorted(toy.update()) == ["from", "to"]
    assert toy.why("from") == "memory lies in no file"
    assert toy.why("to") == "passing lies in no file"


class Cache(TextDataset):
    cache = True


def test_a_cache_decides_nothing(toy):
    path = toy.data / "cache.txt"
    path.write_text("1")
    toy.extra = {"cache": Cache(filepath=str(path))}
    toy.pipeline = lambda: Pipeline([node(join_two, ["raw", "cache"], "length", name="cached")])
    assert toy.update() == ["cached"]
    path.write_text("2")
    assert toy.update() == []


def fill(raw: str, store: RawFolder) -> str:
    with atomic_write(store.path / "written.txt") as path:
        path.write_text(raw)
    return raw


def test_a_store_that_a_node_fills_counts_as_the_node_has_left_it(toy):
    folder = toy.data / "store"
    folder.mkdir()
    toy.extra = {"store": StoreDataset(filepath=str(folder), store="mmctr_kedro.data.challenge.RawFolder")}
    toy.pipeline = lambda: Pipeline([node(fill, ["raw", "store"], "length", name="fill")])
    assert toy.update() == ["fill"]
    assert toy.update() == []
    (folder / "written.txt").write_text("other data")
    assert toy.why("fill") == "store changed"
