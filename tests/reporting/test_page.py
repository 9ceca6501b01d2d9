"""The parts of a page."""

import pytest

from mmctr_kedro.reports import page
from mmctr_kedro.reports.text import duration


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (True, "yes"), (1234567, "1,234,567"), (6.0, "6"), (8.0213, "8.021"), (0.25, "0.2500"),
     (123456.7, "123,457"), (1e-6, "1e-06"), (0.0, "0"), ("simulated", "simulated")],
)  # fmt: skip
def test_values_are_shown_as_a_reader_wants_them(value, shown):
    assert page.show(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(4.21, "4.2 s"), (41.4, "41 s"), (59.7, "1 min 0 s"), (185, "3 min 5 s"), (8040, "2 h 14 min")],
)
def test_durations_are_shown_in_their_own_unit(seconds, shown):
    assert duration(seconds) == shown


def test_splits_that_state_the_same_facts_stand_side_by_side():
    html = page.json_tables({"train": {"rows": 4, "length": {"max": 64}}, "test": {"rows": 2, "length": {"max": 9}}})
    assert '<th></th><th class="number">train</th><th class="number">test</th>' in html
    assert '<td>length · max</td><td class="number">64</td><td class="number">9</td>' in html


def test_records_become_rows():
    html = page.json_tables({"source": "simulated", "files": [{"path": "a", "rows": 3}, {"path": "b", "bytes": 5}]})
    assert "<th>source</th><td>simulated</td>" in html
    assert '<td>b</td><td class="number">–</td><td class="number">5</td>' in html


def test_long_lists_are_cut_and_say_how_long_they_are():
    assert page.flat({"ids": list(range(1000))}) == [("ids", "1,000: " + ", ".join(map(str, range(12))) + ", …")]
    lines = page.flat({"reasons": {str(number): "tiny" for number in range(1000)}})
    assert lines[-1] == ("reasons · …", "960 more")
    assert page.flat({"ids": []}) == [("ids", "none")]


def test_numbers_stand_flush_right_but_not_the_names_of_rows():
    html = page.table(["name", "rows"], [["3-4", 4], ["5-6", None]])
    assert '<th>name</th><th class="number">rows</th>' in html


def test_an_auc_below_chance_or_unknown_still_has_a_place_on_the_scale():
    html = page.scale([("a", 0.4, None, "red"), ("b", None, 0.75, "blue"), ("c", 1.0, 1.0, "green")])
    assert "width:0.00%;background:red" in html
    assert "left:50.00%" in html
    assert "width:100.00%;background:green" in html
