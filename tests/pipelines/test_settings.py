"""Settings: unknown keys are errors with a suggestion, and every block has its class."""

import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.pipelines.settings import check_settings
from mmctr_kedro.running.configuration import pass_on

GLOBALS = {"root": "data", "log_folder": "logs", "embedding": {"variant": "concat_pca"}}


def problems(parameters: dict, given: dict | None = None) -> str:
    with pytest.raises(MmctrError) as error:
        check_settings(parameters, GLOBALS, given or {})
    return str(error.value)


def test_the_defaults_of_every_block_are_accepted():
    check_settings({}, GLOBALS, {})


def test_a_misspelt_block_is_refused_with_the_nearest_known_one():
    assert "unknown setting 'simulat'. Did you mean 'simulate'?" in problems({"simulat": {"items": 50}})


def test_a_misspelt_block_inside_a_task_names_its_place():
    assert "task1: unknown setting 'ctrr'. Did you mean 'ctr'?" in problems({"task1": {"ctrr": {}}})


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"epochs": 1}, "unknown setting 'epochs'. Did you mean ctr.epochs or finetune.epochs or task1.ctr.epochs?"),
        ({"task1": {"epochs": 1}}, "task1: unknown setting 'epochs'. Did you mean task1.ctr.epochs?"),
        ({"max_history": 9}, "Did you mean ctr.max_history or processing.max_history or"),
        ({"embedding": {"dim": 3}}, "embedding: unknown setting 'dim'. Known: variant"),
    ],
)
def test_a_setting_without_its_block_is_refused_with_its_whole_name(parameters, said):
    assert said in problems(parameters)


@pytest.mark.parametrize("value", [{"epoch": 1}, {"epochs": 0}, {"model": {"name": "dinn"}}])
def test_what_is_wrong_with_the_default_of_two_tasks_is_said_once(value):
    parameters = {"ctr": value}
    pass_on(parameters)
    assert problems(parameters).startswith("1 wrong setting(s)")
    with_task1 = parameters | {"task1": {"ctr": value}}
    assert problems(with_task1).startswith("2 wrong setting(s)")


def test_a_value_where_a_block_is_expected_is_told_so():
    assert "ctr.model: expected a block of settings: set those in it, got 'din'" in problems({"ctr": {"model": "din"}})


def test_a_misspelt_key_deep_inside_a_block_is_refused():
    text = problems({"task2": {"ctr": {"model": {"name": "din", "net_droput": 0.2}}}})
    assert "task2.ctr.model" in text
    assert "Did you mean 'net_dropout'?" in text


def test_a_value_out_of_range_shows_the_value_and_the_range():
    text = problems({"ctr": {"learning_rate": -1}})
    assert "ctr.learning_rate" in text
    assert "greater than 0" in text
    assert "-1" in text


def test_all_problems_are_reported_at_once():
    text = problems({"ctr": {"learning_rate": -1}, "simulat": {}, "source": {"name": "simulation"}})
    assert text.startswith("3 wrong setting(s)")


def test_a_one_line_choice_may_be_given_on_the_command_line():
    check_settings({"root": "data/mine"}, GLOBALS, given={"root": "data/mine"})


def test_a_one_line_choice_in_a_parameters_file_is_refused():
    assert "unknown setting 'root'" in problems({"root": "data/mine"})


def test_a_misspelt_one_line_choice_is_refused_with_a_suggestion():
    with pytest.raises(MmctrError, match=r"globals: unknown setting 'rot'. Did you mean 'root'\?"):
        check_settings({}, GLOBALS | {"rot": "data"}, {})
    assert "Did you mean 'root'?" in problems({"rooot": "data/mine"}, given={"rooot": "data/mine"})


@pytest.mark.parametrize("choice", ["root", "log_folder", "challenge_folder"])
@pytest.mark.parametrize("value", [3, {"x": 1}])
def test_a_one_line_choice_on_the_command_line_must_be_a_path(choice, value):
    text = problems({choice: value}, given={choice: value})
    assert f"--params.{choice}: Input should be a valid string, got {value!r}" in text


@pytest.mark.parametrize("parameters", [{"simulate": None}, {"task2": {"ctr": None}}])
def test_a_block_without_any_line_is_refused(parameters):
    assert "got None (a block without any line is written {})" in problems(parameters)


def test_a_seed_that_numpy_and_torch_cannot_both_take_is_refused():
    for seed in (-1, 2**63):
        assert "ctr.seed: Input should be" in problems({"ctr": {"seed": seed}})


@pytest.mark.parametrize("block", ["task1", "task2"])
def test_a_batch_of_one_row_is_refused(block):
    """Batch norm cannot be fitted to a single row."""
    assert f"{block}.ctr.batch_size: Input should be greater than or equal to 2" in problems(
        {block: {"ctr": {"batch_size": 1}}}
    )


def test_task1_tunes_five_values_and_names_the_rule():
    text = problems({"task1": {"ctr": {"model": {"name": "qin"}}}})
    assert "task1.ctr" in text
    assert "fixed DIN" in text
    assert "qin" in text


def test_a_one_line_choice_left_empty_is_refused():
    with pytest.raises(MmctrError, match=r"globals\.challenge_folder: .*string"):
        check_settings({}, GLOBALS | {"challenge_folder": None}, {})
