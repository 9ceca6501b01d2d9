"""A submission is exactly what the challenge accepts, or an error that says why not."""

import io
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.zips import SubmissionZipDataset
from mmctr_kedro.hooks import ProjectHooks
from mmctr_kedro.pipelines.submission import create_pipeline, create_task_pipeline
from mmctr_kedro.pipelines.submission.nodes import combine_submissions, make_submission
from mmctr_kedro.submission.bundle import Bundle
from mmctr_kedro.submission.submission_zip import pack, submission_bytes, unpack
from mmctr_kedro.submission.table_checks import check_predictions

TASKS = ("task1", "task2", "task1_and_2")
HELD = [{"rule": "Left is left.", "source": "a page", "held": True, "evidence": "it was", "remedy": ""}]
BROKEN = [*HELD, {"rule": "No twos.", "source": "page 2", "held": False, "evidence": "a 2", "remedy": "take it out"}]


@pytest.fixture
def clicks_test() -> Clicks:
    """Four test rows of two users."""
    return Clicks(
        history_user=np.array([1, 2], np.int32),
        history_offsets=np.array([0, 1, 2]),
        history_items=np.array([1, 2], np.int32),
        history=np.array([0, 0, 1, 1], np.int32),
        item=np.array([1, 2, 1, 2], np.int32),
        likes_level=np.zeros(4, np.int8),
        views_level=np.zeros(4, np.int8),
        row_id=np.arange(4),
    )


@pytest.fixture
def predictions() -> pd.DataFrame:
    """Two valid rows, then the four test rows."""
    return pd.DataFrame(
        {
            "split": ["valid"] * 2 + ["test"] * 4,
            "row_id": [0, 1, 0, 1, 2, 3],
            "pctr": np.array([0.9, 0.8, 0.25, 0.5, 0.125, 1.0], np.float32),
        }
    )


def bundled(submission: Submission, task: str) -> Bundle:
    """As much of a task's bundle as the combined submission is made from."""
    return Bundle({"tasks": [task]}, {"submission.zip": submission_bytes(submission)})


def combined(clicks_test: Clicks, results: list[tuple[pd.DataFrame, list]]) -> Submission:
    """Of three tasks, in the challenge's order."""
    made = zip(TASKS, results, strict=True)
    return combine_submissions(
        *(bundled(make_submission(clicks_test, *of_task, task=task), task) for task, of_task in made)
    )


def csv_of(submission: Submission, path) -> str:
    SubmissionZipDataset(filepath=str(path)).save(submission)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["prediction.csv"]
        return archive.read("prediction.csv").decode()


@pytest.mark.parametrize(
    ("task", "header"), [("task1", "ID,Task1"), ("task2", "ID,Task2"), ("task1_and_2", "ID,Task1&2")]
)
def test_a_task_gets_its_own_header_and_the_test_rows_in_order(task, header, predictions, clicks_test, tmp_path):
    text = csv_of(make_submission(clicks_test, predictions, HELD, task=task), tmp_path / "a.zip")
    assert text == f"{header}\n0,0.25\n1,0.5\n2,0.125\n3,1\n"


def test_the_combined_submission_has_the_three_columns_in_the_challenges_order(predictions, clicks_test, tmp_path):
    third = predictions.assign(pctr=predictions["pctr"] / 2)
    text = csv_of(combined(clicks_test, [(predictions, HELD), (predictions, HELD), (third, HELD)]), tmp_path / "a.zip")
    assert text.splitlines()[:3] == ["ID,Task1,Task2,Task1&2", "0,0.25,0.25,0.125", "1,0.5,0.5,0.25"]


def test_valid_rows_are_never_in_a_submission(predictions, clicks_test):
    table = make_submission(clicks_test, predictions, HELD, task="task1").table
    assert len(table) == 4
    assert not set(table["Task1"]) & {np.float32(0.9), np.float32(0.8)}


def test_making_a_submission_leaves_its_inputs_alone(predictions, clicks_test):
    before = predictions.copy()
    make_submission(clicks_test, predictions, HELD, task="task1")
    pd.testing.assert_frame_equal(predictions, before)


def test_the_same_table_gives_the_same_bytes(predictions, clicks_test, tmp_path):
    table = make_submission(clicks_test, predictions, HELD, task="task1")
    for name in ("a.zip", "b.zip"):
        SubmissionZipDataset(filepath=str(tmp_path / name)).save(table)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    entry = zipfile.ZipFile(tmp_path / "a.zip").infolist()[0]
    assert entry.date_time == (1980, 1, 1, 0, 0, 0)


def test_neighbouring_float32_scores_keep_their_order_and_come_back_exactly(tmp_path):
    near_half = np.float32(0.5)
    tiny = np.array([1e-45, 1.2e-38, 1e-7, 1.0000001e-7], np.float32)
    close = [near_half, np.nextafter(near_half, np.float32(1)), np.nextafter(near_half, np.float32(0))]
    random = np.random.default_rng(1).random(50_000, dtype=np.float32)
    scores = np.concatenate([tiny, np.array(close, np.float32), random])
    table = pd.DataFrame({"ID": np.arange(len(scores)), "Task1": scores})
    text = csv_of(Submission(table), tmp_path / "a.zip")
    pd.testing.assert_frame_equal(SubmissionZipDataset(filepath=str(tmp_path / "a.zip")).load().table, table)
    # A judge reads float64: the order, ties included, must be the same there.
    read = np.array([line.split(",")[1] for line in text.splitlines()[1:]], dtype=np.float64)
    assert np.array_equal(np.unique(read, return_inverse=True)[1], np.unique(scores, return_inverse=True)[1])


GOOD = pd.DataFrame({"ID": [0, 1, 2, 3], "Task1": np.array([0.25, 0.5, 0.125, 1.0], np.float32)})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            GOOD.assign(Task1=[0.1, np.nan, 0.2, 0.3]),
            r"Task1: 1 scores, first nan at ID 1; expected a finite number",
        ),
        (
            GOOD.assign(Task1=[0.1, 0.2, np.inf, 0.3]),
            r"Task1: 1 scores, first inf at ID 2; expected a finite",
        ),
        (GOOD.assign(Task1=[0.1, 0.2, 1.5, 2.0]), r"Task1: 2 scores, first 1.5 at ID 2; expected a prob"),
        (GOOD.assign(Task1=[-0.1, 0.2, 0.5, 0.3]), r"Task1: 1 scores, first -0.1 at ID 0; expected a prob"),
        (GOOD.assign(Task1=0.5), r"Task1: all 4 scores are 0.5, which ranks nothing"),
        (GOOD.drop(index=2), r"ID: 1 of 4 test IDs are missing, first 2"),
        (GOOD.iloc[:0], r"ID: 4 of 4 test IDs are missing, first 0"),
        (GOOD.assign(ID=[0, 1, 1, 3]), r"ID: 1 IDs occur more than once, first 1 \(2 times\)"),
        (GOOD.assign(ID=[0, 2, 1, 3]), r"ID: not ascending, row 2 has 1 after 2"),
        (GOOD.assign(ID=[0, 1, 2, 9]), r"ID: 1 IDs are not in the test file, first 9"),
    ],
    ids=[
        "nan",
        "infinite",
        "above one",
        "negative",
        "constant",
        "missing",
        "empty",
        "twice",
        "order",
        "unknown",
    ],
)
def test_a_bad_prediction_is_refused_by_name(table, message):
    with pytest.raises(MmctrError, match=message):
        check_predictions(table, np.arange(4), file="task1.submission", remedy="kedro run --pipeline task1")


def test_all_problems_come_in_one_error_with_the_next_command():
    table = GOOD.assign(ID=[0, 1, 1, 3], Task1=[0.1, np.nan, 2.0, 0.3])
    with pytest.raises(MmctrError) as caught:
        check_predictions(table, np.arange(4), file="task1.submission", remedy="kedro run --pipeline task1")
    lines = str(caught.value).splitlines()
    assert lines[0] == "task1.submission is not a valid submission:"
    assert len([line for line in lines if line.startswith("  - ")]) == 4  # missing 2, twice 1, nan, above one
    assert lines[-1] == "kedro run --pipeline task1"


def test_a_valid_submission_passes():
    check_predictions(GOOD, np.arange(4), file="task1.submission", remedy="")


def test_a_refused_prediction_leaves_the_old_zip_as_it_was(predictions, clicks_test, tmp_path):
    path = tmp_path / "submission.zip"
    path.write_bytes(b"the old one")
    bad = predictions.assign(pctr=np.float32(0.5))
    catalog = DataCatalog(
        {
            "task1.predictions": MemoryDataset(bad),
            "clicks_test": MemoryDataset(clicks_test),
            "task1.rules": MemoryDataset(HELD),
            "task1.submission": SubmissionZipDataset(filepath=str(path)),
        }
    )
    with pytest.raises(MmctrError, match=r"task1.submission \(task1.predictions\)"):
        SequentialRunner().run(create_task_pipeline("task1").only_nodes("task1.make_submission"), catalog)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


def test_the_pipelines_write_each_tasks_zip_and_the_combined_one(predictions, clicks_test, tmp_path):
    names = [*(f"{task}.submission" for task in TASKS), "submission"]
    catalog = DataCatalog(
        {
            "clicks_test": MemoryDataset(clicks_test),
            **{f"{task}.predictions": MemoryDataset(predictions) for task in TASKS},
            **{f"{task}.rules": MemoryDataset(HELD) for task in TASKS},
            **{name: SubmissionZipDataset(filepath=str(tmp_path / f"{name}.zip")) for name in names},
        }
    )
    together = sum((create_task_pipeline(task) for task in TASKS), start=create_pipeline())
    SequentialRunner().run(together.only_nodes_with_outputs(*names[:3]), catalog)
    for task in TASKS:
        catalog[f"{task}.bundle"] = MemoryDataset(bundled(catalog[f"{task}.submission"].load(), task))
    SequentialRunner().run(together.only_nodes_with_outputs("submission"), catalog)
    assert list(catalog["submission"].load().table.columns) == ["ID", "Task1", "Task2", "Task1&2"]
    assert list(catalog["task1_and_2.submission"].load().table.columns) == ["ID", "Task1&2"]
    assert catalog["task1.submission"].preview()["columns"][1:] == ["ID", "Task1"]


def test_a_pipeline_of_one_task_touches_nothing_of_the_others():
    pipeline = create_task_pipeline("task2")
    assert {name.split(".")[0] for name in pipeline.inputs() if "." in name} == {"task2"}
    assert pipeline.outputs() == {"task2.bundle"}


def test_the_challenges_size_is_written_in_seconds(tmp_path):
    rows = 379_142
    scores = np.random.default_rng(2).random(rows, dtype=np.float32)
    submission = Submission(pd.DataFrame({"ID": np.arange(rows), "Task1": scores}))
    start = time.process_time()
    SubmissionZipDataset(filepath=str(tmp_path / "a.zip")).save(submission)
    assert time.process_time() - start < 5  # 0.8 s on an idle core


def test_a_broken_rule_builds_the_file_and_marks_it_inside(predictions, clicks_test, tmp_path):
    built = make_submission(clicks_test, predictions, BROKEN, task="task1")
    dataset = SubmissionZipDataset(filepath=str(tmp_path / "a.zip"))
    dataset.save(built)
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == ["prediction.csv", "NOT_SUBMITTABLE.txt"]
    assert dataset.load().not_submittable == ("task1: a 2",)


def test_the_combined_submission_is_marked_by_any_task(predictions, clicks_test):
    built = combined(clicks_test, [(predictions, HELD), (predictions, BROKEN), (predictions, HELD)])
    assert built.not_submittable == ("task2: a 2",)


@pytest.mark.parametrize("pipeline", [create_pipeline() + create_task_pipeline("task2"), create_task_pipeline("task2")])
def test_a_run_that_makes_a_submission_alone_says_what_it_breaks(pipeline, capsys):
    rules = {"task1": HELD, "task2": BROKEN, "task1_and_2": HELD}
    catalog = DataCatalog({f"{task}.rules": MemoryDataset(found) for task, found in rules.items()})
    ProjectHooks().after_pipeline_run(pipeline, catalog)
    assert "not submittable, and marked so:\n  task2: a 2\n" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all"])
def test_a_zip_that_is_none_is_a_message(content, tmp_path):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="cannot be read as a zip"):
        SubmissionZipDataset(filepath=str(tmp_path / "a.zip")).load()


def test_members_that_claim_more_than_the_limit_are_not_read():
    with pytest.raises(MmctrError, match="its members claim 1,000 bytes, more than 999"):
        unpack(io.BytesIO(pack({"a": b"0" * 1_000})), 999)


def test_a_file_for_which_every_rule_held_is_not_marked(predictions, clicks_test, tmp_path):
    csv_of(make_submission(clicks_test, predictions, HELD, task="task1"), tmp_path / "a.zip")
