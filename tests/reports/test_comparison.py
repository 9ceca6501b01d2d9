"""What a comparison says, in the terminal and on its page, and what the board lists."""

from dataclasses import replace

import numpy as np
import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.evaluation import slices
from mmctr_kedro.evaluation.evaluate import evaluate
from mmctr_kedro.reports import board, comparison
from tests.submission.made_runs import clicks, made, predictions, rows, saved

VALID = clicks()
ROWS = rows(VALID)
GOOD, BAD = predictions(VALID, 2.0), predictions(VALID, 0.2, seed=2)
RATE = {"task2.ctr": {"learning_rate": 0.5}}


@pytest.fixture
def compare(tmp_path):
    """The comparison of records on these rows."""

    def of(bundles, known):
        runs = [saved(tmp_path, bundle, f"2026-01-0{number}") for number, bundle in enumerate(bundles, 1)]
        return comparison.compare(runs, known)

    return of


def test_terminal_and_page_name_exactly_the_setting_that_differs(compare):
    found = compare([made(VALID, GOOD), made(VALID, BAD, parameters=RATE)], [ROWS, ROWS])
    said, page = comparison.in_words(found), comparison.write_comparison(found)
    assert [row[""] for row in found.settings] == ["task2.ctr.learning_rate"]
    assert "settings that differ     A      B\ntask2.ctr.learning_rate  0.001  0.5\n" in said
    assert "<td>task2.ctr.learning_rate</td>" in page
    assert page.count("task2.ctr.") == 1


def test_a_worse_run_is_called_worse_and_its_slices_are_told(compare):
    found = compare([made(VALID, GOOD), made(VALID, BAD)], [ROWS, ROWS])
    assert found.verdicts[0].startswith("B is worse than A: AUC -0.")
    assert found.clear_slices
    assert f"On {len(found.clear_slices)} of {found.slices} slices the interval excludes 0" in comparison.in_words(
        found
    )


def test_the_slices_are_those_of_the_report():
    report = evaluate(VALID, GOOD, clicks(seed=9))
    expected = {(slices.LENGTH, entry["bucket"]): entry["rows"] for entry in report["auc_by_history_length"]}
    expected |= {(slices.POPULARITY, entry["bucket"]): entry["rows"] for entry in report["auc_by_popularity_decile"]}
    expected[slices.POPULARITY, slices.UNSEEN] = report["auc_unseen_items"]["rows"]
    assert {name: int(chosen.sum()) for name, chosen in ROWS.slices.items()} == expected


def test_interval_and_auc_of_a_run_are_those_of_its_report(compare):
    report = evaluate(VALID, GOOD, clicks(seed=9))
    [of_a, _] = compare([made(VALID, GOOD), made(VALID, BAD)], [ROWS, ROWS]).aucs
    assert of_a["valid AUC"] == f"{report['auc']:.4f}"
    assert of_a["95 % interval"] == "{:.4f} to {:.4f}".format(*report["auc_interval"])


def test_many_clicks_of_few_users_tell_nothing_apart(compare):
    few = clicks()
    few = replace(few, history_user=np.minimum(few.history_user, 18))  # 19 users: the last has all the other rows
    of = rows(few)
    found = compare([made(few, GOOD), made(few, BAD)], [of, of])
    assert found.differences == []
    assert found.verdicts == [
        "Fewer than 20 users have a click, or another row: too few to tell B from A, so there is no interval."
    ]
    assert found.aucs[0]["95 % interval"] == ""


def test_equal_runs_have_no_difference(compare):
    found = compare([made(VALID, GOOD), made(VALID, GOOD)], [ROWS, ROWS])
    assert (found.settings, found.surroundings, found.clear_slices) == ([], {}, [])
    assert found.verdicts == ["B and A predict the same of every valid row: the difference is 0."]
    assert "No setting differs." in comparison.in_words(found)
    assert "Data, code, versions and machine are the same." in comparison.write_comparison(found)


def test_other_valid_rows_are_said_and_compared_unpaired(compare):
    other = clicks(seed=5)
    bundles = [made(VALID, GOOD), made(other, predictions(other, 0.2, seed=2), data="2" * 64)]
    found = compare(bundles, [ROWS, rows(other)])
    assert any("B and A were judged on other valid rows: the comparison is unpaired" in note for note in found.notes)
    assert found.verdicts[0].startswith("B's AUC on its rows minus A's on its own: -0.")
    assert "valid.parquet" in comparison.in_words(found)


def test_a_run_whose_rows_are_not_here_has_its_auc_and_no_interval(compare):
    found = compare([made(VALID, GOOD), made(VALID, BAD, data="2" * 64)], [ROWS, None])
    assert found.differences == []
    assert found.aucs[1]["95 % interval"] == ""
    assert float(found.aucs[1]["valid AUC"]) > 0.5
    assert "The valid rows of B are not here" in comparison.in_words(found)


def test_rows_that_give_another_auc_than_the_run_had_are_refused(compare):
    with pytest.raises(MmctrError, match=r"the run says .* these rows were made otherwise"):
        compare([made(VALID, GOOD), made(VALID, GOOD)], [ROWS, rows(clicks(seed=5))])


def test_without_a_leak_nothing_is_said_of_one(compare):
    found = compare([made(VALID, GOOD, leak=False), made(VALID, BAD, leak=False)], [ROWS, ROWS])
    assert "leak" not in comparison.in_words(found)


def test_the_board_marks_what_was_published_as_others_numbers_on_other_data(tmp_path):
    run = saved(tmp_path / "data" / "smoke", made(VALID, GOOD, changes=["src/a.py"]), "2026-01-01")
    rows = board.board_rows([run], tmp_path / "data")
    assert rows[0]["folder"] == "smoke"
    assert rows[0]["commit"] == "aaaaaaaa*"
    for said in (board.in_words(rows, ["x is damaged"]), board.write_board(rows, ["x is damaged"])):
        assert run.bundle.id in said
        assert "x is damaged" in said
        assert said.index(run.bundle.id) < said.index("numbers on other data") < said.index("0.9766")


def test_an_empty_board_says_what_makes_a_run(tmp_path):
    assert "kedro run makes one" in board.in_words([], [])
    assert "There is none yet" in board.write_board([], [])
