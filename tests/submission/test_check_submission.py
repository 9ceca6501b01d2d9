"""Any csv or zip is told what the challenge would say to it; a zip of our own is accepted."""

import bz2
import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.pipelines.check_submission.nodes import check_submitted, refuse_unfit
from mmctr_kedro.submission import submitted_file as module
from mmctr_kedro.submission.check_submission import HEADERS, in_words
from mmctr_kedro.submission.settings import CheckSubmissionParams
from mmctr_kedro.submission.submitted_file import MARK, MEMBER, read_submitted, read_test_ids

ROOT = Path(__file__).parents[2]
GOOD = "ID,Task1\n0,0.25\n1,0.5\n2,0.125\n3,0.75\n"


def report(path: Path, ids=range(4)) -> dict:
    return check_submitted(CheckSubmissionParams(), read_submitted(path), np.array(ids, np.int64))


@pytest.fixture
def checked(tmp_path):
    """Check a text, or bytes, as prediction.csv."""

    def run(content: str | bytes, ids=range(4)) -> dict:
        path = tmp_path / MEMBER
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return report(path, ids)

    return run


@pytest.fixture
def zipped(tmp_path):
    """Check a zip of these members (a name may come twice)."""

    def run(*members: tuple[str, str], **how) -> dict:
        with zipfile.ZipFile(tmp_path / "a.zip", "w", **how) as archive:
            for name, text in members:
                archive.writestr(name, text)
        return report(tmp_path / "a.zip")

    return run


@pytest.mark.parametrize("header", HEADERS)
def test_every_header_of_the_challenge_is_accepted(header, checked):
    width = header.count(",")
    rows = "".join(f"{row},{','.join(f'0.{row}{task}' for task in range(width))}\n" for row in range(4))
    found = checked(f"{header}\n{rows}")
    assert found["accepted"], found["problems"]
    assert list(found["columns"]) == header.split(",")[1:]
    refuse_unfit(found)


def test_an_accepted_file_is_described_in_numbers(checked):
    found = checked(GOOD)
    assert found["ids"] == {
        "expected": 4, "rows": 4, "missing": 0, "unknown": 0, "twice": 0, "out_of_order": 0, "not_whole": 0, "gaps": 0
    }  # fmt: skip
    assert found["columns"]["Task1"] == {
        "rows": 4, "not_numbers": 0, "nan": 0, "infinite": 0, "outside": 0, "min": 0.125, "mean": 0.40625, "max": 0.75,
        "distinct": 4, "at_0": 0, "at_1": 0,
    }  # fmt: skip
    assert json.loads(json.dumps(found, allow_nan=False)) == found


BROKEN = {
    "header misspelt": ("ID,Task_1\n0,0.1\n", "header 'ID,Task_1'; expected ID,Task1,Task2,Task1&2 or ID,Task1"),
    "two of three tasks": (GOOD.replace("ID,Task1", "ID,Task1,Task2"), "line 1: header 'ID,Task1,Task2'"),
    "no header": (GOOD.partition("\n")[2], "line 1: header '0,0.25'"),
    "header quoted": (GOOD.replace("ID,Task1", '"ID","Task1"'), "no quotes or spaces"),
    "header with a space": (GOOD.replace("ID,Task1", "ID, Task1"), "no quotes or spaces"),
    "columns in another order": ("Task1,ID\n0.25,0\n", "line 1: header 'Task1,ID'"),
    "semicolons": (GOOD.replace(",", ";"), "values are separated by ';', not by a comma"),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD.encode(), "line 1: a byte order mark"),
    "no UTF-8": (GOOD.replace("0.5", "0.\xff").encode("latin-1"), "line 3: a byte that is no UTF-8 (0xff)"),
    "gzip": (gzip.compress(GOOD.encode()), "this is gzip; expected a csv as UTF-8 text, or a zip of one"),
    "bzip2": (bz2.compress(GOOD.encode()), "this is an archive that is no zip; expected a csv"),
    "parquet": (b"PAR1\x15\x04\x15\x10PAR1", "this is parquet; expected a csv as UTF-8 text, or a zip of one"),
    "a page to sign in": ("<!DOCTYPE html>\n<html></html>\n", "this is a web page; expected a csv"),
    "UTF-16": (GOOD.encode("utf-16"), "this is UTF-16; expected a csv as UTF-8 text"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), "this is UTF-16; expected a csv as UTF-8 text"),
    "NUL byte": (GOOD.replace("0.5", "0.\0"), "line 3: a NUL byte"),
    "an absurd line": (GOOD.replace("0.5", "0." + "5" * 20_000), "line 3: 20,004 bytes; expected 10,000 at most"),
    "nothing": ("", "there is no text in it"),
    "blank": ("\n \n", "there is no text in it"),
    "a line too short": (GOOD.replace("2,0.125", "2"), "line 4: 1 values, the header has 2"),
    "a line too long": (GOOD.replace("2,0.125", "2,0.125,0.3"), "line 4: 3 values, the header has 2"),
    "an empty line": (GOOD.replace("2,0.125", "\n2,0.125"), "ID: 1 values are not a whole number: '' in line 4"),
    "a row missing": (GOOD.replace("2,0.125\n", ""), "ID: 1 of 4 test IDs are missing, first 2"),
    "header only": ("ID,Task1\n", "ID: 4 of 4 test IDs are missing, first 0"),
    "a row twice": (GOOD.replace("2,0.125", "1,0.125"), "ID: 1 IDs occur more than once, first 1 (2 times)"),
    "an unknown ID": (GOOD.replace("3,0.75", "9,0.75"), "ID: 1 IDs are not in the test file, first 9"),
    "another order": (GOOD.replace("1,0.5\n2,0.125", "2,0.125\n1,0.5"), "ID: not ascending, row 2 has 1 after 2"),
    "an ID with a point": (GOOD.replace("1,0.5", "1.0,0.5"), "ID: 1 values are not a whole number: '1.0' in line 3"),
    "an ID beyond 64 bits": (GOOD.replace("1,", "99999999999999999999,"), "not a whole number: '99999999999999999999'"),
    "a word": (GOOD.replace("0.5", "high"), "Task1: 1 values are not a number: 'high' in line 3"),
    "no value": (GOOD.replace("0.5", ""), "Task1: 1 values are not a number: '' in line 3"),
    "a quoted value": (GOOD.replace("0.5", '"0.5"'), "Task1: 1 values are not a number: '\"0.5\"' in line 3"),
    "a space": (GOOD.replace("0.5", " 0.5"), "Task1: 1 values are not a number: ' 0.5' in line 3"),
    "NaN": (GOOD.replace("0.5", "nan"), "Task1: 1 scores, first nan at ID 1; expected a finite number"),
    "infinite": (GOOD.replace("0.5", "-inf"), "Task1: 1 scores, first -inf at ID 1; expected a finite number"),
    "overflow": (GOOD.replace("0.5", "1e999"), "Task1: 1 scores, first inf at ID 1; expected a finite number"),
    "above one": (GOOD.replace("0.5", "1.5"), "Task1: 1 scores, first 1.5 at ID 1; expected a probability in [0, 1]"),
    "negative": (GOOD.replace("0.5", "-0.5"), "Task1: 1 scores, first -0.5 at ID 1; expected a probability in [0, 1]"),
    "constant": ("ID,Task1\n" + "".join(f"{row},0.5\n" for row in range(4)), "Task1: all 4 scores are 0.5"),
    "a column twice": (
        HEADERS[0] + "\n" + "".join(f"{row},0.{row}1,0.{row}2,0.{row}1\n" for row in range(4)),
        "Task1 and Task1&2 are equal in all 4 rows",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_csv_that_breaks_a_rule_is_refused_with_its_place(name, checked):
    content, message = BROKEN[name]
    found = checked(content)
    assert not found["accepted"]
    assert [problem for problem in found["problems"] if message in problem], found["problems"]
    with pytest.raises(MmctrError) as error:
        refuse_unfit(found)
    assert message in str(error.value)
    assert "kedro run --pipeline check_submission" in str(error.value)


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (GOOD.replace("\n", "\r\n"), "lines end in CRLF"),
        (GOOD.replace("\n", "\r"), "lines end in CR;"),
        (GOOD.rstrip(), "the last line has no end"),
        (GOOD.replace("0.125", "1.0"), "Task1: 1 scores are exactly 0 or 1"),
    ],
)
def test_what_does_no_harm_is_a_warning(content, warning, checked):
    found = checked(content)
    assert found["accepted"], found["problems"]
    assert [text for text in found["warnings"] if warning in text], found["warnings"]


def test_few_distinct_scores_are_a_warning(checked):
    found = checked("ID,Task1\n" + "".join(f"{row},0.{row % 9}\n" for row in range(200)), range(200))
    assert found["accepted"]
    assert "Task1: only 9 distinct scores in 200 rows: ties rank nothing" in found["warnings"]


def test_gaps_that_the_test_file_has_too_are_counted_and_accepted(checked):
    found = checked("ID,Task1\n3,0.1\n5,0.2\n6,0.3\n", [3, 5, 6])
    assert found["accepted"]
    assert found["ids"]["gaps"] == 1


def test_lines_are_those_of_the_file_even_after_one_that_is_misshapen(checked):
    found = checked(GOOD.replace("1,0.5", "1").replace("0.75", "x"))
    assert [problem for problem in found["problems"] if "'x' in line 5" in problem]


def test_a_zip_of_one_prediction_is_accepted(zipped):
    found = zipped((MEMBER, GOOD))
    assert found["accepted"], found["problems"]
    assert found["container"]["members"] == [MEMBER]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "the zip holds nothing; expected prediction.csv"),
        ([("xl/workbook.xml", "<workbook/>")], "this is an Excel workbook; expected a csv as UTF-8 text"),
        ([("answer.csv", GOOD)], "the zip holds 'answer.csv'; expected prediction.csv"),
        ([("x/prediction.csv", GOOD)], "the zip holds 'x/prediction.csv'; expected prediction.csv, in no folder"),
        ([("../../prediction.csv", GOOD)], "the zip holds '../../prediction.csv'"),
        ([(MEMBER, GOOD), ("__MACOSX/._prediction.csv", "")], "beside 'prediction.csv' the zip holds '__MACOSX"),
        ([(MEMBER, GOOD), (MARK, "Task 1 used qin.")], "marked not submittable: Task 1 used qin."),
        ([(f"{n}.txt", "") for n in range(1_001)], "more than 1,000 members"),
    ],
)
def test_a_zip_of_other_members_is_refused(members, message, zipped):
    found = zipped(*members)
    assert not found["accepted"]
    assert [problem for problem in found["problems"] if message in problem], found["problems"]


def test_another_archive_that_is_called_a_zip_is_called_by_its_name(tmp_path):
    (tmp_path / "a.zip").write_bytes(gzip.compress(GOOD.encode()))
    assert report(tmp_path / "a.zip")["problems"] == ["this is gzip; expected a csv as UTF-8 text, or a zip of one"]


def test_a_csv_in_the_wrong_place_is_still_checked(zipped):
    found = zipped(("x/prediction.csv", GOOD.replace("0.5", "nan")))
    assert len(found["problems"]) == 2
    assert found["columns"]["Task1"]["nan"] == 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(zipped):
    assert "the zip holds prediction.csv 2 times" in zipped((MEMBER, GOOD), (MEMBER, GOOD))["problems"]


def test_a_damaged_or_encrypted_zip_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(MEMBER, GOOD)
    whole = buffer.getvalue()
    encrypted = bytearray(whole)
    for signature, flag in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        encrypted[whole.index(signature) + flag] |= 1
    flipped = whole.replace(b"0.25", b"0.26")  # its checksum tells
    for content in (whole[:-30], bytes(encrypted), flipped, b"PK, but no zip", b""):
        (tmp_path / "a.zip").write_bytes(content)
        found = report(tmp_path / "a.zip")
        assert not found["accepted"]
        assert [problem for problem in found["problems"] if "the zip cannot be read" in problem], found["problems"]


def test_a_bomb_is_unpacked_no_further_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, b"0" * 1_000_000)
    assert report(tmp_path / "a.zip")["problems"] == ["prediction.csv unpacks to more than 100,000 bytes"]
    (tmp_path / "a.csv").write_bytes(b"0" * 100_001)
    assert report(tmp_path / "a.csv")["problems"] == ["the file is larger than 100,000 bytes"]


def test_a_missing_file_or_a_folder_is_named_with_the_next_command(tmp_path):
    for path, word in ((tmp_path / "none.zip", "is missing"), (tmp_path, "is a folder")):
        with pytest.raises(MmctrError, match=rf"{word}.*--params check_submission\.file="):
            read_submitted(path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"id": [0, 1]}), "has 0 columns 'ID', expected one; 'id' are there"),
        (pa.table({"ID": ["a"]}), "expected whole numbers, found 1 values of string"),
        (pa.table({"ID": [0, None]}), "2 values of int64, 1 of them null"),
        (pa.table({"ID": [0, 2, 1]}), "expected ascending IDs, row 2 has 1 after 2"),
        (pa.table({"ID": pa.array([], pa.int64())}), "found 0 values"),
    ],
)
def test_a_test_file_that_cannot_be_answered_is_refused(table, message, tmp_path):
    pq.write_table(table, tmp_path / "test.parquet")
    with pytest.raises(MmctrError, match=message):
        read_test_ids(tmp_path / "test.parquet")


def test_a_test_file_that_is_no_parquet_or_not_there_is_refused(tmp_path):
    with pytest.raises(MmctrError, match=r"is missing.*check_submission\.test"):
        read_test_ids(tmp_path / "test.parquet")
    (tmp_path / "test.parquet").write_bytes(b"hello")
    with pytest.raises(MmctrError, match="cannot be read as parquet"):
        read_test_ids(tmp_path / "test.parquet")


def test_the_words_name_every_column_and_the_verdict(checked):
    words = in_words(checked(GOOD.replace("0.5", "1.5")))
    assert "Task1        0.125 to 1.5, 4 distinct, 1 outside" in words
    assert "verdict      would be refused: 1 problem\n" in words


def command(tmp_path: Path, *params: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--env", "smoke", "--pipeline", "check_submission", "--params",
         ",".join([f"root={tmp_path}", *params])],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_pipeline_stands_alone_and_fails_after_its_report_is_saved(tmp_path):
    pd.DataFrame({"ID": range(4)}).to_parquet(tmp_path / "test.parquet")
    (tmp_path / "mine.csv").write_text(GOOD)
    params = [f"check_submission.file={tmp_path}/mine.csv", f"check_submission.test={tmp_path}/test.parquet"]
    good = command(tmp_path, *params)
    assert good.returncode == 0, good.stderr
    assert "verdict      accepted" in good.stdout
    (tmp_path / "mine.csv").write_text(GOOD.replace("0.5", "1.5"))
    bad = command(tmp_path, *params)
    assert bad.returncode != 0
    assert "Traceback" not in bad.stderr + bad.stdout
    assert "Task1: 1 scores, first 1.5 at ID 1; expected a probability in [0, 1]" in bad.stderr
    saved = json.loads((tmp_path / "08_reporting" / "submission_check.json").read_text())
    assert not saved["accepted"]
    assert len(saved["problems"]) == 1
