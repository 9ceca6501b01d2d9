"""Every float32 score survives the way into the zip and back; every broken cell or row of a valid file is reported."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import SUBMISSION_COLUMNS
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.zips import SubmissionZipDataset
from mmctr_kedro.pipelines.check_submission.nodes import check_submitted
from mmctr_kedro.pipelines.submission.nodes import combine_submissions, make_submission
from mmctr_kedro.submission.bundle import Bundle
from mmctr_kedro.submission.settings import CheckSubmissionParams
from mmctr_kedro.submission.submission_zip import submission_bytes
from mmctr_kedro.submission.submitted_file import read_submitted
from mmctr_kedro.submission.table_checks import check_predictions

quick = settings(max_examples=40, deadline=None, derandomize=True)
PROBABILITY = st.floats(0, 1, width=32, allow_subnormal=True)
# Distinct within and between the columns, so that nothing is constant or twice.
SCORES = st.lists(PROBABILITY, min_size=12, max_size=24, unique=True).map(lambda scores: scores[: len(scores) // 3 * 3])
GAPS = st.lists(st.integers(1, 9), min_size=8, max_size=8)


def predictions_of(scores: list[float], ids: np.ndarray) -> pd.DataFrame:
    """With rows of valid before those of test, as a model leaves them."""
    pctr = np.array([0.5, 0.25, *scores], np.float32)
    row_id = np.concatenate([[0, 1], ids])
    return pd.DataFrame({"split": ["valid"] * 2 + ["test"] * len(scores), "row_id": row_id, "pctr": pctr})


def clicks_with(ids: np.ndarray) -> Clicks:
    one = np.ones(len(ids), np.int8)
    return Clicks(one[:1], np.array([0, 0]), one[:0], one * 0, one, one, one, ids)


def checked(path: Path, ids: np.ndarray) -> dict:
    return check_submitted(CheckSubmissionParams(), read_submitted(path), ids)


@quick
@given(SCORES, GAPS)
def test_scores_of_three_tasks_come_back_bit_for_bit_and_the_checker_accepts_them(scores, gaps):
    thirds = np.array(scores, np.float32).reshape(3, -1)
    ids = np.cumsum(gaps[: thirds.shape[1]]) - 1
    tables = [predictions_of(third, ids) for third in thirds]
    each = [
        make_submission(clicks_with(ids), table, [], task=task)
        for task, table in zip(SUBMISSION_COLUMNS, tables, strict=True)
    ]
    alone, combined = each[1], combine_submissions(*(Bundle({}, {"submission.zip": submission_bytes(s)}) for s in each))
    with tempfile.TemporaryDirectory() as folder:
        for name, made, columns in (("all", combined, range(3)), ("one", alone, [1])):
            dataset = SubmissionZipDataset(filepath=f"{folder}/{name}.zip")
            dataset.save(made)
            found = dataset.load().table
            assert found["ID"].tolist() == ids.tolist()
            assert found.columns.tolist() == ["ID", *(list(SUBMISSION_COLUMNS.values())[column] for column in columns)]
            back = found.drop(columns="ID").to_numpy(np.float32).T
            assert back.tobytes() == np.abs(thirds[list(columns)]).tobytes()  # -0.0 is 0
            report = checked(Path(folder) / f"{name}.zip", ids)
            assert report["accepted"], report["problems"]


def lines_of(scores: list[float], ids: np.ndarray) -> list[list[str]]:
    """A valid csv by cells, header first."""
    thirds = np.array(scores, np.float32).reshape(3, -1).T
    return [
        ["ID", *SUBMISSION_COLUMNS.values()],
        *([str(i), *map(str, row)] for i, row in zip(ids, thirds.tolist(), strict=True)),
    ]


def write(lines: list[list[str]], folder: str) -> Path:
    path = Path(folder) / "prediction.csv"
    path.write_text("".join(",".join(line) + "\n" for line in lines), encoding="utf-8")
    return path


def is_number(text: str) -> bool:
    """A plain decimal in [0, 1], by Python's own reading."""
    try:
        return not set(text) - set("0123456789.eE+-") and 0 <= float(text) <= 1
    except ValueError:
        return False


def is_whole(text: str, value: int) -> bool:
    try:
        return not set(text) - set("0123456789+-") and int(text) == value
    except ValueError:
        return False


CELL = st.one_of(
    st.text(st.characters(blacklist_characters=",\n\r\0", blacklist_categories=["Cs"]), max_size=6),
    st.text("0123456789.eE+- _", max_size=6),
    st.floats(width=32).map(str),
    st.integers(-5, 99).map(str),
    st.sampled_from(["nan", "NaN", "inf", "-inf", "None", "1e-400", "1.0000001", "-0.0", "0x1p-3", "1_0", "½", "٣"]),
)


@settings(quick, max_examples=150)
@given(SCORES, GAPS, CELL, st.data())
def test_one_changed_cell_is_accepted_exactly_where_it_is_still_valid(scores, gaps, cell, data):
    ids = np.cumsum(gaps[: len(scores) // 3]) - 1
    lines = lines_of(scores, ids)
    row = data.draw(st.integers(0, len(lines) - 1), label="row")
    column = data.draw(st.integers(0, 3), label="column")
    old, lines[row][column] = lines[row][column], cell
    names = ["ID", *SUBMISSION_COLUMNS.values()]
    valid = cell == old if row == 0 else is_whole(cell, ids[row - 1]) if column == 0 else is_number(cell)
    with tempfile.TemporaryDirectory() as folder:
        report = checked(write(lines, folder), ids)
    assert report["accepted"] == valid, (cell, report["problems"])
    place = "line 1: header" if row == 0 else f"{names[column]}: "
    assert valid or [problem for problem in report["problems"] if problem.startswith(place)], report["problems"]


@settings(quick, max_examples=60)
@given(SCORES, GAPS, st.sampled_from(["drop", "twice", "swap", "other", "short", "long", "blank"]), st.data())
def test_one_changed_row_is_reported(scores, gaps, change, data):
    ids = np.cumsum(gaps[: len(scores) // 3]) - 1
    lines = lines_of(scores, ids)
    row = data.draw(st.integers(1, len(lines) - 2), label="row")
    if change == "drop":
        del lines[row]
    elif change == "twice":
        lines.insert(row, lines[row])
    elif change == "swap":
        lines[row], lines[row + 1] = lines[row + 1], lines[row]
    elif change == "other":
        lines[row][0] = str(ids[-1] + 1)
    else:
        lines[row] = {"short": lines[row][:-1], "long": [*lines[row], "0.5"], "blank": []}[change]
    with tempfile.TemporaryDirectory() as folder:
        report = checked(write(lines, folder), ids)
    assert not report["accepted"]
    places = ("ID: ", f"line {row + 1}: ")
    assert [problem for problem in report["problems"] if problem.startswith(places)], report["problems"]


@quick
@given(
    SCORES,
    GAPS,
    st.sampled_from([np.nan, np.inf, -np.inf, -1e-30, np.nextafter(np.float32(1), np.float32(2))]),
    st.data(),
)
def test_our_own_table_with_one_bad_score_is_refused_as_the_file_would_be(scores, gaps, bad, data):
    ids = np.cumsum(gaps[: len(scores) // 3]) - 1
    table = pd.DataFrame({"ID": ids, "Task1": np.array(scores[: len(ids)], np.float32)})
    row = data.draw(st.integers(0, len(ids) - 1), label="row")
    check_predictions(table, ids, file="task1.submission", remedy="")
    table.loc[row, "Task1"] = np.float32(bad)
    assume(not 0 <= table.loc[row, "Task1"] <= 1)
    with pytest.raises(MmctrError, match=f"at ID {ids[row]};"):
        check_predictions(table, ids, file="task1.submission", remedy="")
