"""Diagnostics worked out by hand on a few rows, and verdicts on data drawn alike and otherwise."""

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks, own_levels
from mmctr_kedro.data.processing.raw_files import describe
from mmctr_kedro.data.settings import ProcessingParams, SourceParams
from mmctr_kedro.diagnosis import measures
from mmctr_kedro.diagnosis.verdicts import differ, tells
from mmctr_kedro.pipelines.data_diagnostics import create_pipeline
from mmctr_kedro.pipelines.data_diagnostics.nodes import diagnose
from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files
from mmctr_kedro.worlds.settings import WorldParams
from mmctr_kedro.worlds.world import write_world

CONTENT = pd.DataFrame({"item_id": [1, 2, 3, 4], "likes_level": [1, 2, 3, 4], "views_level": [5, 5, 5, 5]})


def make(item, label=None, user=None, histories=None, likes=None) -> Clicks:
    """One history per row; levels are the item's unless ``likes`` says otherwise."""
    rows = len(item)
    histories = [[1, 2, 3]] * rows if histories is None else histories
    return Clicks(
        history_user=np.asarray(range(1, rows + 1) if user is None else user, np.int32),
        history_offsets=np.cumsum([0, *map(len, histories)]),
        history_items=np.array([one for history in histories for one in history], np.int32),
        history=np.arange(rows, dtype=np.int32),
        item=np.asarray(item, np.int32),
        likes_level=np.asarray(np.minimum(item, 10) if likes is None else likes, np.int8),
        views_level=np.full(rows, 5, np.int8),
        row_id=np.arange(rows),
        label=None if label is None else np.asarray(label, np.int8),
    )


def splits() -> dict[str, Clicks]:
    return {
        "train": make([1, 1, 2, 2], [1, 1, 0, 1], histories=[[2], [2, 2], [], [1, 4, 2, 2]], user=[1, 1, 2, 3]),
        "valid": make([1, 2, 3, 4], [1, 0, 1, 0], histories=[[3], [4, 1], [1], []], user=[1, 7, 8, 9],
                      likes=[1, 2, 3, 9]),
        "test": make([3, 4], histories=[[1], [3]], user=[3, 3]),
    }  # fmt: skip


def test_shares_of_what_train_knows_are_counted():
    found = measures.describe_splits(CONTENT, splits())
    valid, test = found["valid"], found["test"]
    assert (found["train"]["users"], found["train"]["users_in_train"]) == (3, 1.0)
    assert (valid["users_in_train"], test["users_in_train"]) == (0.25, 1.0)
    # Train rows show items 1 and 2, train histories items 1, 2 and 4.
    assert (valid["rows_with_item_in_no_train_row"], valid["rows_with_item_nowhere_in_train"]) == (0.5, 0.25)
    assert valid["history_clicks_on_items_in_no_train_row"] == 0.5  # 3 and 4 of 3, 4, 1, 1
    assert valid["history_clicks_on_items_nowhere_in_train"] == 0.25
    assert found["train"]["history_clicks_on_items_in_no_train_row"] == pytest.approx(1 / 7, abs=1e-6)
    assert (found["train"]["items_shown_without_a_click"], test["items_shown_without_a_click"]) == (0.5, None)
    assert (valid["click_share"], test["click_share"]) == (0.5, None)


def test_history_lengths_are_those_of_rows():
    clicks = splits()["train"]
    twice = replace(clicks, history=np.array([3, 3, 3, 0], np.int32))  # three rows share the history of 4 clicks
    found = measures.describe_splits(CONTENT, {"train": twice})["train"]
    assert found["history_length"] == {"min": 1, "q25": 3.25, "median": 4, "q75": 4, "max": 4, "mean": 3.25}
    assert {key: share for key, share in found["rows_by_history_length"].items() if share} == {"1-2": 0.25, "3-4": 0.75}


def test_valid_rows_are_scored_by_all_of_train_and_unknown_items_by_the_mean():
    found = measures.signals(5, splits()["train"], splits()["valid"])
    # Click rates, drawn to the mean 3/4: item 1 above it, item 2 below, items 3 and 4 at it.
    # Clicks are on 1 and 3, others on 2 and 4: (1, 2) (1, 4) (3, 2) are right, (3, 4) a tie.
    assert found["item_click_rate"]["valid"]["auc"] == 3.5 / 4
    # Train rows: 2, 2, 0, 0: (1, 2) and (3, 4) tie, (1, 4) right, (3, 2) wrong.
    assert found["item_train_rows"]["valid"]["auc"] == 0.5
    # Clicks in train's histories: 1, 5, 0, 1: (1, 4) ties, the others are wrong.
    assert found["item_history_clicks"]["valid"]["auc"] == 0.125
    # Likes levels 1, 3 against 2, 9.
    assert found["likes_level"]["valid"]["auc"] == 0.25


def test_train_rows_are_scored_by_the_click_rates_of_other_users():
    # Every row has an item of its own: in sample its click rate tells all, other users' rows tell nothing.
    train = make(np.arange(1, 41), np.tile([1, 1, 0, 0], 10))
    found = measures.signals(41, train, train)["item_click_rate"]
    assert (found["valid"]["auc"], found["train"]["auc"]) == (1.0, 0.5)
    # Both rows of users 1 to 4 say the same of items 1 and 2: each half of the users scores the other rightly.
    shared = make([1, 2] * 4, [1, 0] * 4, user=np.repeat([1, 2, 3, 4], 2))
    assert measures.signals(5, shared, shared)["item_click_rate"]["train"]["auc"] == 1.0


def test_levels_are_listed_with_their_click_shares():
    found = measures.level_click_shares(splits()["train"], splits()["valid"])
    assert found["likes_level"][0] == {
        "level": 1, "train_rows": 2, "train_click_share": 1.0, "valid_rows": 1, "valid_click_share": 1.0
    }  # fmt: skip
    assert [entry["level"] for entry in found["likes_level"]] == [1, 2, 3, 9]
    assert found["likes_level"][2]["train_click_share"] is None


def drawn(seed: int, popular_others: bool, rows: int = 8000, items: int = 300) -> Clicks:
    """Clicks and histories fall on popular items; other rows do so too, or on any item."""
    rng = np.random.default_rng(seed)
    popularity = np.arange(1, items + 1) / np.arange(1, items + 1).sum()
    label = np.tile([1, 0, 0, 0], rows // 4)
    popular = rng.choice(items, rows, p=popularity)
    item = np.where((label == 1) | popular_others, popular, rng.integers(0, items, rows)) + 1
    clicks = make(item, label, user=np.arange(rows) // 4 + rows * seed, likes=1 + (item - 1) * 10 // items)
    return replace(clicks, history_items=(rng.choice(items, 3 * rows, p=popularity) + 1).astype(np.int32))


def world(popular_others_in_valid: bool) -> dict:
    items = np.arange(1, 301)
    content = pd.DataFrame({"item_id": items, "likes_level": 1 + (items - 1) * 10 // 300, "views_level": 5})
    test = replace(drawn(3, popular_others_in_valid), label=None)
    return diagnose(content, drawn(1, False), drawn(2, popular_others_in_valid), test)


def says(found: dict, about: str) -> tuple[bool | None, str]:
    (verdict,) = (verdict for verdict in found["verdicts"] if verdict["about"] == about)
    return verdict["alike"], verdict["says"]


def test_splits_drawn_alike_are_said_to_be():
    found = world(popular_others_in_valid=False)
    assert says(found, "train_and_valid") == (
        True, "Train and valid differ in nothing looked at here by more than noise."
    )  # fmt: skip
    alike, said = says(found, "item_history_clicks")
    assert alike
    assert "separates train (AUC 0.66" in said
    assert said.endswith("about alike.")


def test_negatives_drawn_otherwise_are_found_out():
    found = world(popular_others_in_valid=True)
    assert found["verdicts"][0]["says"].startswith("Train and valid are drawn differently")
    for about in ("item_click_rate", "likes_level_click_rate"):
        alike, said = says(found, about)
        assert alike is False
        assert "says nothing about valid" in said
    said = says(found, "item_history_clicks")[1]
    assert "valid's rows without a click are on more popular items than train's" in said
    assert "its clicks on equally popular ones" in said
    assert says(found, "test_items")[0] is True


def test_a_level_that_says_nothing_anywhere_is_no_difference():
    alike, said = says(world(popular_others_in_valid=True), "views_level_click_rate")  # all levels are 5
    assert alike
    assert "says next to nothing about train (AUC 0.500 ± 0.0" in said


def test_an_auc_says_something_from_both_thresholds_on():
    assert tells({"auc": 0.54, "standard_error": 0.01})
    assert not tells({"auc": 0.52, "standard_error": 0.001})  # beyond noise, but too little to matter
    assert not tells({"auc": 0.60, "standard_error": 0.04})  # noise
    assert not tells({"auc": 0.60, "standard_error": None})
    assert not tells({"auc": None, "standard_error": None})
    # Apart by 0.1: noise of .03 and .04 together is .05.
    assert not differ({"auc": 0.6, "standard_error": 0.03}, {"auc": 0.5, "standard_error": 0.04})
    assert differ({"auc": 0.6, "standard_error": 0.006}, {"auc": 0.5, "standard_error": 0.008})


def test_a_few_rows_that_chance_has_parted_are_no_evidence():
    found = diagnose(CONTENT, *splits().values())
    assert found["drawn"]["history_length_test_or_valid"]["standard_error"] > 0.2
    assert not [verdict["says"] for verdict in found["verdicts"] if verdict["alike"] is False]


def test_one_class_or_one_user_leaves_verdicts_open_and_the_json_strict():
    one_class = {**splits(), "valid": make([1, 2], [1, 1])}
    found = diagnose(CONTENT, *one_class.values())
    assert says(found, "train_and_valid")[0] is None
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert "cannot be judged" in says(found, "item_click_rate")[1]


def test_what_matters_is_logged_in_a_few_lines(caplog):
    with caplog.at_level(logging.INFO, logger="mmctr_kedro"):
        found = world(popular_others_in_valid=True)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == f"data: {found['verdicts'][0]['says']}"
    assert len(lines) < 8


def test_the_pipeline_makes_the_same_json_again():
    pipeline = create_pipeline()
    assert {node.namespace for node in pipeline.nodes} == {"data_processing"}
    given = {f"clicks_{name}": clicks for name, clicks in splits().items()} | {"item_content": CONTENT}
    assert pipeline.inputs() == set(given)
    made = []
    for _ in range(2):
        catalog = DataCatalog({name: MemoryDataset(value, copy_mode="assign") for name, value in given.items()})
        made.append(SequentialRunner().run(pipeline, catalog)["data_diagnostics"].load())
    assert json.dumps(made[0]) == json.dumps(made[1])
    assert made[0]["splits"]["train"]["rows"] == 4


# --- leaks -----------------------------------------------------------------------------------------------


def simulated(tmp_path, law: str, **changes) -> tuple:
    """Item content and splits of a world of this law."""
    params = WorldParams(law=law, items=300, train_rows=4000, valid_rows=1200, test_rows=400, covers=False, **changes)
    folder = RawFolder(tmp_path / law)
    write_world(params, folder)
    content, _, _, *clicks, _ = process_raw_files(ProcessingParams(), describe(SourceParams(), folder), folder)
    return content, clicks


@pytest.mark.parametrize(
    ("law", "changes", "leak"),
    [
        ("challenge", {}, True),
        ("challenge", {"row_levels": "popular"}, True),
        ("challenge", {"row_levels": "own"}, False),
        ("taste", {}, False),
        ("popular", {}, False),
    ],
)
@pytest.mark.parametrize("item_feature", [True, False])
def test_whose_levels_a_row_carries_is_told_under_every_law(tmp_path, law, changes, leak, item_feature):
    content, clicks = simulated(tmp_path, law, **changes)
    if not item_feature:
        content = content.assign(likes_level=np.int8(0), views_level=np.int8(0))
    found = diagnose(content, *clicks)
    assert [name for name, leaks in found["leak"].items() if leaks] == ["levels"] * leak
    assert says(found, "item_alone")[0] is True
    alike, said = says(found, "levels")
    assert alike is not leak
    assert said.startswith("LEAK") is leak
    assert ("told by the levels of clicks" in said) is not item_feature
    own = found["whose_levels"]["own"]["valid"]
    assert own["clicks"] > 0.99
    assert (own["others"] < 0.2) is leak
    together = found["whose_levels"]["one_pair_per_user"]["valid"]
    assert (together == 1.0) is (leak and "row_levels" not in changes)
    if leak:
        assert found["verdicts"][0]["about"] == "levels"  # what leaks comes first
        assert found["whose_levels"]["worth"]["match_and_rarity"]["valid"]["auc"] > 0.9


def test_a_negative_pool_is_told(tmp_path):
    content, clicks = simulated(tmp_path, "challenge")
    shown = diagnose(content, *clicks)["splits"]["train"]["items_shown_without_a_click"]
    assert 0.3 < shown < 0.5  # a third of all items; of those in train rows, somewhat more


def test_a_click_in_its_own_history_is_a_leak():
    label = np.tile([1, 0, 0, 0], 60)
    item = np.random.default_rng(0).integers(1, 5, 240)
    answer = [[1, 2, *([one] if clicked else [])] for one, clicked in zip(item % 2 + 3, label, strict=True)]
    leaky = make(item % 2 + 3, label, histories=answer)
    clean = make(item % 2 + 3, label, histories=[[1, 2]] * 240)
    found = diagnose(CONTENT, leaky, leaky, replace(leaky, label=None))
    assert found["leak"]["target_in_history"]
    assert found["known_answers"]["target_in_history"]["valid"]["auc"] == 1.0
    assert (
        "in its own history in 100% of train's clicks and 0% of its other rows" in says(found, "target_in_history")[1]
    )
    assert not diagnose(CONTENT, clean, clean, replace(clean, label=None))["leak"]["target_in_history"]


def test_a_click_at_the_end_of_its_own_history_is_told_of_a_simulated_world(honest):
    """AUC 0.55 -> 0.84 by it, once without a word."""
    content, (train, valid, test) = honest
    found = diagnose(content, with_clicks_in_their_histories(train), with_clicks_in_their_histories(valid), test)
    assert [name for name, leaks in found["leak"].items() if leaks] == ["target_in_history"]
    assert found["verdicts"][0]["says"].startswith(
        "LEAK: a row's item is in its own history in 100% of train's clicks and 0% of its other rows and 100% of"
        " valid's clicks and 0% of its other rows. That alone has AUC 1.000"
    )


def own_histories(clicks: Clicks) -> list[np.ndarray]:
    histories = np.split(clicks.history_items, clicks.history_offsets[1:-1])
    return [histories[place] for place in clicks.history]


def with_clicks_in_their_histories(clicks: Clicks) -> Clicks:
    rows = zip(own_histories(clicks), clicks.item, clicks.label, strict=True)
    return with_histories(clicks, [np.append(history, item) if click else history for history, item, click in rows])


def with_histories(clicks: Clicks, histories: list[np.ndarray]) -> Clicks:
    """Each row with a history of its own."""
    return replace(
        clicks,
        history_user=clicks.user,
        history_offsets=np.cumsum([0, *map(len, histories)]),
        history_items=np.concatenate(histories).astype(np.int32),
        history=np.arange(len(clicks), dtype=np.int32),
    )


def rows_of(clicks: Clicks, rows: np.ndarray) -> Clicks:
    names = ("history", "item", "likes_level", "views_level", "row_id", "label")
    return replace(clicks, **{name: getattr(clicks, name)[rows] for name in names if getattr(clicks, name) is not None})


def clicks_first(clicks: Clicks) -> Clicks:
    return rows_of(clicks, np.lexsort((-clicks.label, clicks.history)))


def sorted_by_label(clicks: Clicks) -> Clicks:
    return rows_of(clicks, np.argsort(clicks.label, kind="stable"))


def others_without_history(clicks: Clicks) -> Clicks:
    rows = zip(own_histories(clicks), clicks.label, strict=True)
    return with_histories(clicks, [history if click else history[:0] for history, click in rows])


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A world in which nothing leaks."""
    return simulated(tmp_path_factory.mktemp("world"), "taste")


@pytest.mark.parametrize(
    ("change", "leak", "remedy"),
    [
        (clicks_first, "row_order", "shuffle the rows"),
        (sorted_by_label, "row_order", "shuffle the rows"),
        (others_without_history, "length_by_label", "the same history"),
    ],
)
def test_what_gives_labels_away_without_any_taste_is_a_leak(honest, change, leak, remedy):
    content, (train, valid, test) = honest
    clean = diagnose(content, train, valid, test)
    assert not any(clean["leak"].values())
    assert says(clean, "history_length")[1].startswith("Histories are as long in valid as in train")
    found = diagnose(content, change(train), change(valid), test)
    assert found["leak"][leak]
    alike, said = says(found, leak)
    assert alike is False
    assert said.startswith("LEAK: ")
    assert remedy in said
    assert found["known_answers"][leak]["valid"]["auc"] in (0.0, 1.0)


def test_a_split_that_ignores_time_shows_valids_clicks_in_trains_histories(honest):
    content, (train, valid, test) = honest
    clicks = rows_of(valid, np.flatnonzero(valid.label == 1))
    users, items = np.resize(clicks.user, len(train)), np.resize(clicks.item, len(train))
    later = replace(  # train rows of valid's users, with a history that ends in their click of valid
        with_histories(train, list(items[:, None])), history_user=users
    )
    found = diagnose(content, later, valid, test)
    assert found["leak"]["clicked_in_train"]
    assert found["known_answers"]["clicked_in_train"]["valid"]["clicks"] == 1.0
    assert "split by time" in says(found, "clicked_in_train")[1]


def test_test_rows_that_stand_in_valid_are_a_leak(honest):
    content, (train, valid, _) = honest
    found = diagnose(content, train, valid, replace(valid, label=None))
    assert found["known_answers"]["known_test_rows"] == 1.0
    assert found["leak"]["known_test_rows"]
    assert "100% of test rows (of the same user) in train or valid" in says(found, "repeats")[1]


def test_negatives_of_items_that_nobody_clicks_are_told(honest):
    """Train and valid are alike in it, and an AUC of 1 was once said to be no news."""
    content, (train, valid, test) = honest

    def drawn_apart(of: Clicks) -> Clicks:
        clicked = (of.item - 1) % 200 + 1
        return replace(of, item=np.where(of.label == 1, clicked, 201 + of.item % 100).astype(np.int32))

    alike, said = says(diagnose(content, drawn_apart(train), drawn_apart(valid), test), "item_alone")
    assert alike is False
    assert said.startswith("Which item it is nearly decides. An item's click rate in train has AUC 1.000")
    assert "eval_negatives: popularity" in said


def test_valid_rows_that_stand_in_train_are_a_leak_and_repeated_rows_are_counted():
    rng = np.random.default_rng(1)
    histories = [rng.integers(1, 5, rng.integers(0, 6)).tolist() for _ in range(400)]
    item, label = rng.integers(1, 5, 400), np.tile([1, 0, 0, 0], 100)
    train = make(item, label, histories=histories)
    copied = make(item, label, histories=histories, user=np.arange(401, 801))  # other users, the same rows
    found = diagnose(CONTENT, train, copied, replace(copied, label=None))
    assert found["known_answers"]["valid_rows_in_train"]["share"] == 1.0
    assert found["leak"]["valid_rows_in_train"]
    assert "split by user, or by time" in says(found, "repeats")[1]
    assert found["known_answers"]["repeated_rows"]["train"] == 0.0
    twice = make(np.tile(item, 2), np.tile(label, 2), histories=histories * 2, user=np.tile(np.arange(1, 401), 2))
    assert diagnose(CONTENT, twice, train, replace(train, label=None))["known_answers"]["repeated_rows"]["train"] == 0.5


def test_own_levels_without_item_feature_are_those_of_most_clicks():
    content = CONTENT.assign(likes_level=0, views_level=0)
    train = make([1, 1, 1, 2, 3], [1, 1, 1, 1, 0], likes=[7, 7, 4, 9, 3])
    assert own_levels(content, train).tolist() == [[0, 0], [7, 5], [9, 5], [0, 0], [0, 0]]
    assert own_levels(CONTENT, train).tolist() == [[0, 0], [1, 5], [2, 5], [3, 5], [4, 5]]
