"""What is wrong with a log is said with file, line, value and expectation."""

import pytest
from pydantic import ValidationError

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.settings import InteractionLogParams
from mmctr_kedro.pipelines.import_log.nodes import import_log

HEADER = "user,item,timestamp\n"
GOOD = "".join(f"5,{10 * n},{n}\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("rows", "params", "message"),
    [
        (
            HEADER.replace("timestamp", "time_stamp") + GOOD,
            {},
            r"no column 'timestamp'. Did you mean 'time_stamp'\?",
        ),
        (HEADER.replace(",", ";") + GOOD.replace(",", ";"), {}, r"no column 'user'. It has: user;item;timestamp"),
        (
            HEADER + "5,10,2024-01-01\n" + GOOD,
            {},
            r"interactions.csv:2: timestamp '2024-01-01', expected a number",
        ),
        (HEADER + GOOD + "\n\n5,10,\n", {}, r"interactions.csv:12: timestamp '', expected a number"),
        (HEADER + GOOD + "5,10,+9\n", {}, r"interactions.csv:10: timestamp '\+9', expected a number"),
        (
            "user,item,timestamp,item\n" + GOOD.replace("\n", ",7\n"),
            {},
            r"interactions.csv: 2 columns are named 'item', expected one",
        ),
        (HEADER + GOOD + ",10,9\n", {}, r"interactions.csv:10: user '', expected an id"),
        (HEADER + GOOD + "5, ,9\n", {}, r"interactions.csv:10: item ' ', expected an id"),
        (HEADER + "5,10\n" + GOOD, {}, r"interactions.csv:2: 2 values, expected 3: '5,10'"),
        (HEADER + GOOD + "5,10,3,4\n", {}, r"interactions.csv:10: 4 values, expected 3: '5,10,3,4'"),
        (HEADER + GOOD, {"positive_rating": 4, "log": {"rating": "rating"}}, r"no column 'rating'"),
        (
            HEADER.replace("\n", ",rating\n") + GOOD.replace("\n", ",five\n"),
            {"positive_rating": 4, "log": {"rating": "rating"}},
            r"interactions.csv:2: rating 'five', expected a number[\s\S]*and 3 more rows",
        ),
        (
            HEADER.replace("\n", ",label\n") + GOOD.replace("\n", ",2\n"),
            {"log": {"label": "label"}},
            r"interactions.csv:2: label '2', expected 0 or 1",
        ),
        (HEADER, {}, "has no interactions"),
        ("", {}, "no column 'user'"),
        (HEADER + "5,10,1\n5,20,2\n5,30,3\n", {}, "no user has 4 clicks: the most are 3"),
        (HEADER + "5,10,1\n5,20,2\n5,30,3\n5,40,4\n", {}, "no rows for train"),
        (
            "5\t10 20\n6\t10\n5\t30\n",
            {"log": {"format": "sequences", "separator": "\t"}},
            r"interactions.csv:3: user '5'",
        ),
        (HEADER + GOOD, {"log": {"columns": ["user", "item"]}}, r"3 columns in line 1, .*names 2"),
        (HEADER + GOOD, {"covers": "pictures"}, "pictures is missing: expected a folder or archive"),
    ],
)
def test_a_mistake_in_the_log_is_named(imported, rows, params, message):
    with pytest.raises(MmctrError, match=message):
        imported(rows, **params)


def test_bytes_that_are_no_text_are_named_with_line_and_setting(imported):
    with pytest.raises(MmctrError, match=r"items\.csv:2: b'10,Am\\xe9lie,.*items\.encoding; by latin-1.*'10,Amélie,'"):
        imported(items="item,title,tags\n10,Amélie,\n".encode("latin-1"))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("item,name,tags\n10,A,\n", r"items.csv: no column 'title'. It has: item, name, tags"),
        ("item,title,tags\n10,A,\n20,B,\n10,C,\n", r"items.csv:4: item '10', expected one row per item"),
        ("item,title,tags\n10,A,\n ,B,\n", r"items.csv:3: item ' ', expected an id"),
        ("item,title,tags\n10,A,b,c\n", r"items.csv:2: 4 values, expected 3"),
    ],
)
def test_a_mistake_in_the_item_table_is_named(imported, items, message):
    with pytest.raises(MmctrError, match=message):
        imported(items=items)


def test_all_problems_of_the_log_are_listed_at_once(imported):
    with pytest.raises(MmctrError) as error:
        imported(HEADER + "5,10,x\n,10,3\n" + GOOD)
    assert "interactions.csv:3: user ''" in str(error.value)
    assert "interactions.csv:2: timestamp 'x'" in str(error.value)


def test_a_missing_file_is_named_with_its_columns_and_the_next_step(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "ratings.csv").write_text("userId,movieId,rating,timestamp\n")
    message = r"interactions\.csv is missing.*user, item, timestamp.*holds: ratings\.csv.*--env movielens"
    with pytest.raises(MmctrError, match=message):
        import_log(InteractionLogParams(), RawFolder(tmp_path / "log"), RawFolder(tmp_path / "out"))


def test_files_that_are_not_from_an_import_are_never_overwritten(imported, tmp_path):
    own = tmp_path / "out" / "item_feature.parquet"
    own.parent.mkdir()
    own.write_bytes(b"mine")
    with pytest.raises(MmctrError, match=r"already holds item_feature\.parquet.*source\.name=challenge_files"):
        imported()
    assert own.read_bytes() == b"mine"


def test_an_import_never_writes_into_its_source(imported, tmp_path):
    imported()
    with pytest.raises(MmctrError, match="overwrite its source"):
        import_log(InteractionLogParams(), RawFolder(tmp_path / "log"), RawFolder(tmp_path / "log"))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"positive_rating": 4}, "needs a column of ratings"),
        ({"positive_rating": 4, "log": {"rating": "r", "label": "l"}}, "unset one of them"),
        ({"log": {"format": "sequences", "label": "l"}}, "a user and items only"),
        ({"log": {"seperator": ";"}}, "Did you mean 'separator'"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(params, message):
    with pytest.raises(ValidationError, match=message):
        InteractionLogParams(**params)
