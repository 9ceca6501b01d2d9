"""The main job on the smoke world: files in, submissions and report out, run the way a user runs it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from mmctr_kedro.fusion.settings import VARIANTS

PROJECT = Path(__file__).parents[1]
TIMED = {"training_history.json", "metrics.json", "report.html"}  # they tell how long the training took
PLAN = ".plan"  # what the planner knows of files: their times among it
RECORDS = "12_runs"  # a version for each run, by its time
TASKS = {"task1": "Task1", "task2": "Task2", "task1_and_2": "Task1&2"}


def run(root: Path, pipeline: str = "__default__", **given) -> None:
    bootstrap_project(PROJECT)
    with KedroSession.create(PROJECT, env="smoke", runtime_params={"root": str(root), **given}) as session:
        session.run(pipeline_names=[pipeline])


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {PLAN, RECORDS} & set(path.parts)
    }


def artifact(name: str) -> str:
    """The file's own name, or that of the file it is the seal of."""
    return Path(name).name.removeprefix(".").removesuffix(".sha256")


def times(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def prediction(path: Path) -> pd.DataFrame:
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "prediction.csv"  # and a mark, where the tree has changes
        return pd.read_csv(archive.open("prediction.csv"))


def test_the_combined_submission_has_one_row_per_test_id_and_a_column_per_task(main_job):
    answers = prediction(main_job / "08_reporting" / "submission.zip")
    test = pd.read_parquet(main_job / "01_raw" / "challenge" / "MicroLens_1M_x1" / "test.parquet", columns=["ID"])
    assert list(answers) == ["ID", "Task1", "Task2", "Task1&2"]
    assert answers["ID"].tolist() == test["ID"].tolist()
    assert ((answers.drop(columns="ID") >= 0) & (answers.drop(columns="ID") <= 1)).to_numpy().all()


@pytest.mark.parametrize("task", TASKS)
def test_each_task_leaves_its_own_submission(main_job, task):
    alone = prediction(main_job / "08_reporting" / task / "submission.zip")
    combined = prediction(main_job / "08_reporting" / "submission.zip")
    assert list(alone) == ["ID", TASKS[task]]
    assert alone[TASKS[task]].tolist() == combined[TASKS[task]].tolist()


@pytest.mark.parametrize("task", TASKS)
def test_no_model_beats_the_best_reachable_auc_by_more_than_noise(main_job, task):
    metrics = json.loads((main_job / "08_reporting" / task / "metrics.json").read_text())
    assert metrics["auc_interval"][0] <= metrics["best_reachable_auc"]


def test_the_truth_lies_outside_everything_that_training_loads(main_job):
    challenge = {path.name for path in (main_job / "01_raw" / "challenge").rglob("*.parquet")}
    assert "truth.parquet" not in challenge
    assert (main_job / "02_intermediate" / "truth.parquet").exists()


def test_a_single_task_rewrites_shared_contracts_with_equal_bytes_and_touches_no_other_task(main_job):
    before, when = digests(main_job), times(main_job)
    run(main_job, "task2")
    after = digests(main_job)
    changed = {name for name in after if before.get(name) != after[name]}
    written = {name for name, moment in times(main_job).items() if when.get(name) != moment}
    assert {artifact(name) for name in changed} <= TIMED | {"bundle.zip"}
    assert not [name for name in written if {"task1", "task1_and_2", "embedding"} & set(Path(name).parts)]


def manifest(bundle: Path) -> dict:
    with zipfile.ZipFile(bundle) as archive:
        return json.loads(archive.read("manifest.json"))


@pytest.fixture(scope="session")
def main_job_again(tmp_path_factory) -> Path:
    """The same run in another place, where nothing of the first can be found, and in processes beside each other.

    Around it all is otherwise that may be: folder, hash seed, locale, time zone, optimisation, threads, cores.
    """
    root = tmp_path_factory.mktemp("main_job_again")
    command = [sys.executable, "-m", "kedro", "run", "--env", "smoke", "--runner", "ParallelRunner"]
    around = {"PYTHONHASHSEED": "7", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    around |= {"TZ": "Asia/Tokyo", "PYTHONOPTIMIZE": "1", "OMP_NUM_THREADS": "3"}
    done = subprocess.run(
        [*(["taskset", "-c", "0"] if shutil.which("taskset") else []), *command, "--params", f"root={root}"],
        cwd=PROJECT / "notebooks", env=os.environ | around, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stdout + done.stderr
    return root


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_in_another_place_and_in_parallel(main_job, main_job_again):
    here, there = digests(main_job), digests(main_job_again)
    assert set(here) == set(there)
    differing = {artifact(name) for name in here if here[name] != there[name]}
    assert differing <= TIMED | {"bundle.zip"}
    compared = {artifact(name) for name in here}
    assert {"ctr_model.safetensors", "predictions.parquet", "submission.zip", "item_embedding.npy"} <= compared


@pytest.mark.slow
@pytest.mark.parametrize("task", ["", *TASKS])
def test_manifest_and_bundle_are_equal_outside_the_run_block(task, main_job, main_job_again):
    here, there = (root / "08_reporting" / task / "bundle.zip" for root in (main_job, main_job_again))
    ours, theirs = manifest(here), manifest(there)
    assert ours.pop("run") != theirs.pop("run")
    assert ours == theirs
    with zipfile.ZipFile(here) as one, zipfile.ZipFile(there) as other:
        for name in set(one.namelist()) - {"manifest.json"}:
            assert one.read(name) == other.read(name), name


@pytest.mark.slow
@pytest.mark.parametrize("page", ["report.html", *(f"{task}/report.html" for task in TASKS)])
def test_reports_are_equal_outside_the_run_section(page, main_job, main_job_again):
    section = re.compile(r'<section id="run">.*?</section>', re.DOTALL)
    ours, theirs = ((root / "08_reporting" / page).read_text() for root in (main_job, main_job_again))
    assert section.search(ours)
    assert section.sub("", ours) == section.sub("", theirs)


@pytest.mark.parametrize("task", ["", *TASKS])
def test_a_manifest_says_what_was_done_and_names_no_place(task, main_job):
    found = manifest(main_job / "08_reporting" / task / "bundle.zip")
    assert found["settings"]["task1.ctr"]["seed"] == found["seeds"]["task1.ctr.seed"] == 20242025
    assert found["settings"]["ctr"]["weight_decay"] == 0.0  # which no file of conf/ names
    assert found["versions"]["torch"]
    assert all(file["sha256"] for file in found["raw_files"]["files"].values())
    assert set(found["rules"]) == set(found["tasks"]) == ({task} if task else set(TASKS))
    outside = {name: value for name, value in found.items() if name != "run"}
    assert str(main_job) not in json.dumps(found)
    assert found["run"]["host"] not in json.dumps(outside)


@pytest.mark.parametrize("task", TASKS)
def test_no_bundle_holds_the_rows_that_the_page_shows(task, main_job):
    reporting = main_job / "08_reporting"
    kinds = json.loads((reporting / task / "example_rows.json").read_text())
    titles = {json.dumps(row["item"]["title"]) for rows in kinds.values() for row in rows}
    assert titles
    for bundle in (reporting / task / "bundle.zip", reporting / "bundle.zip"):
        assert not [title for title in titles if title in json.dumps(manifest(bundle))]


def test_task2s_bundle_holds_nothing_of_an_encoder(main_job):
    found = manifest(main_job / "08_reporting" / "task2" / "bundle.zip")
    assert "item_embedding.npy" not in found["files"]
    assert "item_embedding.npy" in manifest(main_job / "08_reporting" / "task1" / "bundle.zip")["files"]


def test_another_seed_gives_another_model(main_job, tmp_path):
    run(tmp_path, "task2", task2={"ctr": {"seed": 7}})
    (there,) = tmp_path.rglob("task2/ctr_model.safetensors")
    assert there.read_bytes() != (main_job / there.relative_to(tmp_path)).read_bytes()


def test_the_run_ends_by_saying_scores_and_places(tmp_path, capsys):
    run(tmp_path, "task2", processing={"history_levels": True})
    said = capsys.readouterr().out
    assert "task2        evidence        valid AUC 0." in said
    assert "without the levels' leak   not submittable" in said
    assert "The best AUCs that this world's maker reaches on the valid rows: 0." in said
    assert "  task2: item_tags has 7 columns, not 5" in said
    assert str(tmp_path / "08_reporting" / "task2" / "report.html") in said
    assert str(tmp_path / "08_reporting" / "task2" / "submission.zip") in said


def test_a_short_training_marks_task_1_alone_as_not_submittable(main_job):
    """Its model and run controls are fixed; the other tasks choose theirs."""
    marks = {
        task: json.loads((main_job / "08_reporting" / task / "metrics.json").read_text())["not_submittable"]
        for task in TASKS
    }
    assert "epochs is 3, not 100" in marks.pop("task1")
    assert not [reason for found in marks.values() for reason in found if "epochs" in reason]


def test_a_finished_run_leaves_no_checkpoint(main_job):
    assert list(main_job.rglob("*checkpoint*")) == []


def test_the_report_loads_nothing_from_elsewhere(main_job):
    page = (main_job / "08_reporting" / "report.html").read_text(encoding="utf-8")
    assert 'src="http' not in page
    assert '<link rel="stylesheet"' not in page


@pytest.mark.slow
def test_every_variant_of_the_embedding_is_built_beside_the_chosen_one(tmp_path):
    encoders = {"text": {"name": "item_feature"}, "image": {"name": "item_feature"}}
    run(tmp_path, "embedding", embedding=encoders)
    chosen = digests(tmp_path / "04_feature" / "embedding" / "concat_pca")
    run(tmp_path, "embedding_variants", embedding=encoders)
    assert digests(tmp_path / "04_feature" / "embedding" / "concat_pca") == chosen
    for folder, file in (("04_feature", "item_embedding.npy"), ("08_reporting", "scorecard.json")):
        found = {path.parent.name for path in (tmp_path / folder / "embedding").glob(f"*/{file}")}
        assert found == set(VARIANTS)
    card = json.loads((tmp_path / "08_reporting" / "embedding" / "concat_pca" / "scorecard.json").read_text())
    assert card["encoders"] == {"text": "item_feature", "image": "item_feature"}
    assert card["next_item"]["all"]["queries"] > 0
    assert not card["users_known_to_train"]
