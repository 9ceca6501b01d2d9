"""Runs found by folder, file and id, and what of them differs."""

from pathlib import Path

import pytest
import yaml

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.submission.bundle import bundle_bytes
from mmctr_kedro.submission.runs import (
    RECORDS,
    Run,
    find_runs,
    runs_below,
    settings_that_differ,
    surroundings_that_differ,
)
from tests.submission.made_runs import clicks, made, predictions, saved

VALID = clicks()
PCTR = predictions(VALID, 1.0)
OLD, NEW = "2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"


@pytest.fixture
def runs(tmp_path):
    """Two runs of Task 2 in one folder, the newer with another learning rate, and one of Task 1 beside them."""
    rate = {"task2.ctr": {"learning_rate": 0.5}}
    return [
        saved(tmp_path / "data", made(VALID, PCTR), OLD),
        saved(tmp_path / "data", made(VALID, PCTR, parameters=rate, time="2026-01-02T00:00:00+00:00"), NEW),
        saved(tmp_path / "data" / "other", made(VALID, PCTR, "task1", time="2026-01-03T00:00:00+00:00"), NEW),
    ]


def test_the_catalog_keeps_records_where_they_are_searched():
    catalog = yaml.safe_load((Path(__file__).parents[2] / "conf/base/catalog_submission.yml").read_text())
    assert catalog["{task}.record"]["filepath"] == f"${{_root}}/{RECORDS}"
    assert catalog["{task}.record"]["versioned"] is True


def test_a_folder_means_its_newest_run_and_an_id_any(runs, tmp_path):
    older, newer, other = runs
    data = tmp_path / "data"
    assert [run.path for run in find_runs([str(data), older.bundle.id], None, data)] == [newer.path, older.path]
    assert [run.bundle.id for run in runs_below(data)[0]] == [run.bundle.id for run in (other, newer, older)]


def test_a_file_means_itself_and_a_bundle_has_the_id_of_its_record(runs, tmp_path):
    elsewhere = tmp_path / "sent.zip"
    elsewhere.write_bytes(bundle_bytes(runs[0].bundle))
    [found] = find_runs([str(elsewhere)], None, tmp_path)
    assert found.bundle.id == runs[0].bundle.id
    assert (found.pctr == runs[0].pctr).all()


def test_what_has_several_tasks_takes_that_of_the_other_run_or_asks(runs, tmp_path):
    saved(tmp_path / "data", made(VALID, PCTR, "task1"), OLD)
    data = tmp_path / "data"
    assert {run.task for run in find_runs([str(data), runs[0].bundle.id], None, data)} == {"task2"}
    with pytest.raises(MmctrError, match=f"has task1, task2. Say which: kedro compare {data} {data} --task task2"):
        find_runs([str(data), str(data)], None, data)
    with pytest.raises(MmctrError, match="has no task1; it has task2"):
        find_runs([runs[0].bundle.id], "task1", data)


def test_an_unknown_id_is_answered_with_near_ones(runs, tmp_path):
    known = runs[0].bundle.id
    wrong = known[:-1] + ("0" if known[-1] != "0" else "1")
    with pytest.raises(MmctrError, match=f"no run {wrong}. Did you mean {known}"):
        find_runs([wrong], None, tmp_path / "data")
    with pytest.raises(MmctrError, match="There is none there yet: kedro run makes one"):
        find_runs([known], None, tmp_path / "nothing")


def test_a_folder_without_records_says_what_is_missing(tmp_path):
    with pytest.raises(MmctrError, match=r"holds no record of a run \(12_runs/TASK.zip\)"):
        find_runs([str(tmp_path)], None, tmp_path)


def test_a_damaged_record_is_an_error_where_it_is_meant_and_left_out_where_runs_are_listed(runs, tmp_path):
    damaged = runs[0].path
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(MmctrError, match=r"is not what was written: task2\.zip differs from its seal"):
        find_runs([str(damaged)], None, tmp_path)
    found, unread = runs_below(tmp_path / "data")
    assert [run.path for run in found] == [runs[2].path, runs[1].path]
    assert len(unread) == 1
    assert str(damaged) in unread[0]


def test_exactly_the_setting_that_differs_is_named(runs):
    assert settings_that_differ(runs[:2]) == [["task2.ctr.learning_rate", "0.001", "0.5"]]
    assert settings_that_differ([runs[0], runs[0]]) == []


def test_a_setting_of_another_task_or_of_no_prediction_is_no_difference():
    one = made(VALID, PCTR)
    other = made(VALID, PCTR, parameters={"task1.ctr": {"learning_rate": 0.5}, "serve": {"port": 9}})
    runs = [saved_nowhere(one), saved_nowhere(other)]
    assert settings_that_differ(runs) == []


def test_settings_of_an_embedding_that_is_not_built_or_not_read_are_no_difference():
    unused, read = {"embedding.sequence": {"epochs": 7}}, {"embedding": {"variant": "sequence"}}
    one, other = (saved_nowhere(made(VALID, PCTR, "task1", parameters=given)) for given in ({}, unused))
    assert settings_that_differ([one, other]) == []
    one, other = (saved_nowhere(made(VALID, PCTR, parameters=given)) for given in ({}, read))
    assert settings_that_differ([one, other]) == []
    one, other = (saved_nowhere(made(VALID, PCTR, task)) for task in ("task1", "task2"))
    assert ["embedding.variant", "concat_pca", "provided"] in settings_that_differ([one, other])


def test_data_code_versions_and_machine_are_told_where_they_differ():
    one, other = made(VALID, PCTR), made(VALID, PCTR, data="2" * 64, commit="b" * 40)
    found = surroundings_that_differ([saved_nowhere(one), saved_nowhere(other)])
    assert list(found) == ["data", "code"]
    assert found["data"][1] == ["valid.parquet", "600 rows, 11111111", "600 rows, 22222222"]
    assert found["code"] == [["commit", "a" * 40, "b" * 40]]
    assert surroundings_that_differ([saved_nowhere(one), saved_nowhere(one)]) == {}


def test_two_trees_with_the_same_files_changed_are_other_code_where_they_are_changed_otherwise():
    one, same, other = (saved_nowhere(made(VALID, PCTR, changes=["din.py"], sha256=of * 64)) for of in "ccd")
    assert one.code == "aaaaaaaa*"
    assert surroundings_that_differ([one, same]) == {}
    assert surroundings_that_differ([one, other])["code"] == [["SHA-256", "c" * 8, "d" * 8]]


def test_an_installed_package_without_a_commit_is_told_by_its_version():
    versions = {"0.1.0": "c", "0.2.0": "d"}
    old, new = (saved_nowhere(made(VALID, PCTR, commit=None, version=of, sha256=versions[of] * 64)) for of in versions)
    assert surroundings_that_differ([old, new])["code"][0] == ["commit", "version 0.1.0", "version 0.2.0"]
    assert new.code == "version 0.2.0"


def saved_nowhere(bundle):
    return Run(Path("nowhere.zip"), bundle.manifest["tasks"][0], bundle)
