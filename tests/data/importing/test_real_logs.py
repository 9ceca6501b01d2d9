"""Logs as people have them: read rightly where there is one right reading, else refused with line and setting.

docs/reliability.md says who reported what ("Real inputs", "Logs of interactions").
"""

import gzip
import json
import re

import pytest
from kedro.framework.cli.utils import _split_params
from pydantic import ValidationError

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.settings import InteractionLogParams

HEADER = "user,item,timestamp\n"


def log(item="{}", user="5", time="{}", items=range(1, 9)):
    """One user's clicks on items 1, 2, ... at times 1, 2, ..., each written in this way."""
    return HEADER + "".join(f"{user},{item.format(n)},{time.format(n)}\n" for n in items)


def table(item="{}", title="Title {}", tags="", items=range(1, 13)):
    return "item,title,tags\n" + "".join(f"{item.format(n)},{title.format(n)},{tags}\n" for n in items)


def titles(out):
    """Titles by source id."""
    source = out.source("item")
    return {source[row["item_id"]]: row["item_title"] for row in out.file("item_feature")}


# Ids


@pytest.mark.parametrize(
    "writing", ["{}.0", " {} ", "\N{NO-BREAK SPACE}{}", "'{}'", "'{}", '"{}"', '"""{}"""', "{:06d}"]
)
def test_ids_that_differ_only_in_how_one_file_writes_them_are_the_same_items(imported, writing):
    expected = {n: f"Title {n}" for n in range(1, 13)}
    assert titles(imported(log(), table(writing))) == expected
    assert titles(imported(log(writing), table())) == expected


def test_byte_order_marks_belong_to_no_name_and_no_id(imported):
    mark = "\N{ZERO WIDTH NO-BREAK SPACE}"
    out = imported(f"{mark}{log()}{mark}5,9,9\n", mark + table())  # a second file was appended to the log
    assert out.source("user") == {1: 5}
    assert titles(out)[9] == "Title 9"


def test_ids_of_19_digits_stay_exact_and_their_covers_are_found(imported, tmp_path):
    long = "70123456789012345{:02d}"  # floats of this size are 1,024 apart
    images = tmp_path / "log" / "item_images"
    images.mkdir(parents=True)
    for n in range(1, 13):
        (images / f"{long.format(n)}.jpg").write_bytes(b"?")
    out = imported(log(long), table(long))
    assert list(titles(out)) == [int(long.format(n)) for n in range(1, 13)]
    assert Covers.find(out.path).item_ids.tolist() == list(range(1, 13))


def test_ids_beyond_64_bits_stay_exact_as_words(imported):
    long = "70123456789012345678{:02d}"
    assert list(titles(imported(log(long), table(long)))) == [long.format(n) for n in range(1, 13)]


def test_one_stray_word_among_numbers_is_refused_unless_words_are_meant(imported):
    rows = log() + "5,unknown,9\n"
    expected = r"csv:10: item 'unknown', expected a whole number below 2\^63, as most are, or import_log\.ids=words"
    with pytest.raises(MmctrError, match=expected):
        imported(rows, table())
    with pytest.raises(MmctrError, match=r"items\.csv:14: item 'unknown', expected a whole number"):
        imported(log(), table() + "unknown,,\n")
    assert "unknown" in imported(rows, table(), ids="words").source("item").values()


def test_words_among_which_some_are_numbers_are_words(imported):
    """As ISBN and ASIN are: zeros in front of them count."""
    odd = ["B0{:03d}", "00{:03d}", "B1{:03d}"]
    rows = HEADER + "".join(f"5,{odd[n % 3].format(n)},{n}\n" for n in range(1, 9))
    items = "item,title,tags\n" + "".join(f"{odd[n % 3].format(n)},T,\n" for n in range(1, 13))
    assert {"B0003", "00004", "B1002"} <= set(titles(imported(rows, items)))


@pytest.mark.parametrize("nobody", ["nan", "NaN", "None", "NULL", "<NA>"])
def test_what_libraries_write_for_a_missing_id_is_no_user_with_a_long_history(imported, nobody):
    with pytest.raises(MmctrError, match=rf"interactions\.csv:2: user '{nobody}', expected an id, or .*ids=words"):
        imported(log(user=nobody) + log(user="ann").removeprefix(HEADER), table())
    assert imported(log(user=nobody), table(), ids="words").source("user") == {1: nobody}


@pytest.mark.parametrize("rounded", ["7.01235E+18", "7.012345678901235e+18", "7012345678901234688.0"])
def test_ids_that_a_float_has_rounded_are_refused(imported, rounded):
    with pytest.raises(MmctrError, match=rf"item '{re.escape(rounded)}', expected all its digits"):
        imported(log(rounded), table())


# What belongs together


def test_a_log_that_shares_too_few_items_with_the_table_stops_the_import_and_few_are_said(imported, caplog):
    with pytest.raises(MmctrError, match=r"8 of 8 items of .* no row in items\.csv: 1, 2, .*most_unmatched=0\.5"):
        imported(log(), table(items=range(101, 113)))
    out = imported(log(), table(items=range(3, 13)))
    assert (
        "2 of 8 items of interactions.csv have no row in items.csv: 1, 2; without a click there: 9, 10" in caplog.text
    )
    assert titles(out)[2] == ""
    assert len(titles(imported(log(), table(items=range(101, 113)), most_unmatched=1))) == 20


@pytest.mark.parametrize("name", ["10{}.jpg", "film-{}.jpg"])
def test_covers_of_which_too_few_belong_to_an_item_stop_the_import(imported, tmp_path, name):
    images = tmp_path / "log" / "item_images"
    images.mkdir(parents=True)
    for n in range(1, 9):
        (images / name.format(n)).write_bytes(b"?")
    with pytest.raises(MmctrError, match=r"8 of 8 files among the covers are no item's: items are 1, 2, .*NUMBER\.jpg"):
        imported(log(), table())


def test_covers_of_some_items_or_of_many_more_are_no_loss(imported, tmp_path, caplog):
    images = tmp_path / "log" / "item_images"
    images.mkdir(parents=True)
    (images / "3.jpg").write_bytes(b"?")
    imported(log(), table())
    for n in range(1, 99):
        (images / f"{n}.jpg").write_bytes(b"?")
    imported(log(), table())
    assert not caplog.text


def test_users_with_too_few_clicks_for_a_row_are_said_and_counted(imported, caplog):
    out = imported(log() + "8,1,1\n9,1,1\n", table())
    assert "2 of 3 users have too few clicks for a row: 8, 9" in caplog.text
    assert json.loads((out.path / "import_log.json").read_text())["found"]["users_without_rows"] == 2


# Quotation marks


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("closed_in", ["title", "nowhere", "a title in between"])
def test_rows_swallowed_by_a_quotation_mark_are_refused_and_read_where_marks_are_letters(
    imported, separator, closed_in
):
    lines = table(tags="war").splitlines()
    lines[3] = '3,"Quiet,war'
    if closed_in != "nowhere":
        lines[7] = '7,the loud one",war' if closed_in == "title" else '7,the "loud" one,war'
    items = "\n".join(lines).replace(",", separator) + "\n"
    with pytest.raises(MmctrError, match=r"items\.csv:4: a quotation mark makes one row .*items\.quotes=false"):
        imported(log(), items, {"separator": separator})
    out = imported(log(), items, {"separator": separator, "quotes": False})
    assert titles(out)[3] == '"Quiet'
    assert len(titles(out)) == 12


def test_rows_swallowed_in_the_log_are_refused(imported):
    with pytest.raises(MmctrError, match=r"interactions\.csv:3: a quotation mark makes one row of 4 lines"):
        imported(log().replace("5,2,", '"5,2,').replace("5,5,", '5",5,'), table())


def test_lines_in_a_title_that_each_look_like_a_row_are_a_title_where_this_is_meant(imported):
    items = table() + '13,"A, B\nC, D",war\n'
    with pytest.raises(MmctrError, match=r"items\.csv:14: .*true where this is meant: '13,A, B\\nC, D,war'"):
        imported(log(), items)
    assert titles(imported(log(), items, {"quotes": True}))[13] == "A, B\nC, D"


# Lists written as text


@pytest.mark.parametrize(
    "written", ["1 2 3 4 5 6", "1, 2, 3, 4, 5, 6", "1,2,3,4,5,6", "[1, 2, 3, 4, 5, 6]", "[1 2 3 4 5 6]"]
)
def test_items_of_a_sequence_stand_between_blanks_or_commas(imported, written):
    out = imported(f"5\t{written}\n", table(), log={"format": "sequences", "separator": "\t"})
    assert out.clicks("valid") == [(5, [1, 2, 3, 4], 5)]


def test_a_stray_word_in_a_sequence_is_named_alone(imported):
    with pytest.raises(MmctrError, match=r"interactions\.csv:2: items 'x7', expected a whole number"):
        imported("4\t1 2\n5\t1 2 3 x7 4 5\n", table(), log={"format": "sequences", "separator": "\t"})


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("\"['war', 'sci-fi, space']\"", ["sci-fi, space", "war"]),
        ('"[""war"", ""kid\'s""]"', ["kid's", "war"]),
        ("[war]", ["war"]),
        ('"[war, sea]"', ["sea", "war"]),
        ("['war' 'sea']", ["sea", "war"]),
        ("[]", []),
        ("[war]|sea", ["[war]", "sea"]),
    ],
)
def test_tags_may_be_a_list_as_python_or_json_writes_it(imported, written, words):
    assert sorted(row["word"] for row in imported(log(), table(tags=written)).file("tag_words")) == words


def test_tags_that_are_objects_are_refused(imported):
    with pytest.raises(MmctrError, match=r"items\.csv:2: tags .*'name': 'War'.*expected words or a list of words"):
        imported(log(), table(tags="\"[{'id': 1, 'name': 'War'}]\""))


def test_tags_with_another_separator_than_the_one_set_are_said(imported, caplog):
    imported(log(), table(tags='"war, sea"'))
    assert (
        "most tags hold a comma or semicolon, none '|': is params:import_log.items.tag_separator right?" in caplog.text
    )


# Times


@pytest.mark.parametrize(
    "time", ["{}", "160000000{}", "160000000{}.25", "1600000000.{}", "{}.", "160000000{}123456789"]
)
def test_times_are_numbers_of_any_one_unit(imported, time):
    rows = log(time=time).splitlines()
    out = imported("\n".join([rows[0], *reversed(rows[1:])]), table())
    assert out.clicks("valid") == [(5, [1, 2, 3, 4, 5, 6], 7)]


@pytest.mark.parametrize("other", ["160000000{}000", "160000000{}000000", "160000000{}000000000"])
def test_times_in_two_units_are_refused(imported, other):
    rows = log(time="160000000{}") + f"5,9,{other.format(9)}\n"
    expected = (
        rf"interactions\.csv:10: timestamp '{other.format(9)}', expected the unit of most others, as in 1600000001"
    )
    with pytest.raises(MmctrError, match=expected):
        imported(rows, table())


def test_clicks_whose_times_are_all_one_are_said_to_have_no_history(imported, caplog):
    imported(log(time="1600000000"), table())
    assert "5 of 5 clicks have no history: what was clicked at one time" in caplog.text


# Files


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_a_table_may_be_in_any_encoding_that_is_named(imported, encoding):
    out = imported(
        log().encode(encoding),
        table(title="Café {}").encode(encoding),
        {"encoding": encoding},
        log={"encoding": encoding},
    )
    assert titles(out)[3] == "Café 3"


def test_utf_16_is_called_by_its_name(imported):
    with pytest.raises(
        MmctrError, match=r"interactions\.csv:1: .*no utf-8 text.*log\.encoding; by utf-16 it reads 'user,"
    ):
        imported(log().encode("utf-16"), table())


def test_a_packed_table_is_read_by_its_ending_and_otherwise_called_packed(imported):
    packed = gzip.compress(log().encode(), mtime=0)
    out = imported(packed, table(), log={"file": "log.csv.gz"})
    assert out.clicks("valid") == [(5, [1, 2, 3, 4, 5, 6], 7)]
    with pytest.raises(MmctrError, match=r"interactions\.csv:1: .*Is it packed \(\.gz, "):
        imported(packed, table())


# Settings


@pytest.mark.parametrize("written", [r"\t", "tab", '"\t"'])
def test_a_tab_can_be_said_on_the_command_line(written):
    given = _split_params(None, None, f"import_log.log.separator={written}")
    assert InteractionLogParams(**given["import_log"]).log.separator == "\t"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("\t", "got none: the command line drops a bare tab.* Write tab for a tab"),
        ('"::"', r"expected one character, got '::'\. Rewrite the file: sed 's/::/\\t/g'"),
    ],
)
def test_what_is_no_separator_is_refused_with_the_way_to_say_it(written, message):
    with pytest.raises(ValidationError, match=message):
        InteractionLogParams(**_split_params(None, None, f"import_log.log.separator={written}")["import_log"])


def test_an_unknown_encoding_is_refused():
    with pytest.raises(ValidationError, match="unknown encoding: utf-7-bit; expected one that Python knows"):
        InteractionLogParams(items={"encoding": "utf-7-bit"})
