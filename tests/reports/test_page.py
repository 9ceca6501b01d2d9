"""The parts of a page."""

import pytest

from mmctr_kedro.reports import text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (True, "yes"), (1234567, "1,234,567"), (6.0, "6"), (8.0213, "8.021"), (0.25, "0.2500"),
     (123456.7, "123,457"), (1e-6, "1e-06"), (0.0, "0"), ("simulated", "simulated"),
     ([], "none"), ([1, 2.5], "1 · 2.500")],
)  # fmt: skip
def test_values_are_shown_as_a_reader_wants_them(value, shown):
    assert text.show(value) == shown


def test_objects_that_state_the_same_facts_stand_together_the_longer_way_down():
    tall = {"train": {"rows": 4, "length": {"min": 1, "max": 64}}, "test": {"rows": 2, "length": {"min": 3, "max": 9}}}
    assert text.tables(tall) == [
        ("", [
            {"": "rows", "train": 4, "test": 2},
            {"": "length · min", "train": 1, "test": 3},
            {"": "length · max", "train": 64, "test": 9},
        ])
    ]  # fmt: skip
    flat = {"signals": {"item_rows": {"train": 0.5, "valid": 0.6}, "item_clicks": {"train": 0.7, "valid": None}}}
    assert text.tables(flat) == [
        ("signals", [
            {"": "item rows", "train": 0.5, "valid": 0.6}, {"": "item clicks", "train": 0.7, "valid": None},
        ])
    ]  # fmt: skip


def test_plain_facts_come_first_and_lists_of_objects_are_rows():
    data = {"files": [{"path": "a", "rows": 3}, {"path": "b"}], "covers": {"of": {"items": 1}}, "world_version": "4"}
    assert text.tables(data) == [
        ("", [{"": "world version", " ": "4"}]),
        ("covers · of", [{"": "items", " ": 1}]),
        ("files", [{"path": "a", "rows": 3}, {"path": "b"}]),
    ]


def test_long_lists_and_objects_are_cut_and_say_how_long_they_are():
    assert text.show(list(range(1000))) == "1,000: " + " · ".join(map(str, range(12))) + " · …"
    [(heading, rows)] = text.tables({"reasons": {str(number): "tiny" for number in range(1000)}})
    assert (heading, len(rows), rows[-1]) == ("reasons", 41, {"": "…", " ": "960 more"})


def test_an_auc_below_chance_or_unknown_still_has_a_place_on_the_scale():
    assert [text.above_chance(auc) for auc in (0.4, 0.75, 1.0, None)] == ["0.00%", "50.00%", "100.00%", "none"]


def test_pieces_come_in_one_order_and_one_without_a_question_by_its_name():
    said = text.in_pieces({"levels": -1.0, "my_own": 0.5, "taste": 2.0})
    assert [(name, value) for name, _, value in said] == [("taste", 2.0), ("levels", -1.0), ("my own", 0.5)]
