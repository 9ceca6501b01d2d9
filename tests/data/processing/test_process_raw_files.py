"""The contracts made from the tiny data set of conftest.py, worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest

from mmctr_kedro.common.errors import InvalidDataError, MmctrError
from mmctr_kedro.data.processing.raw_files import REQUIRED, describe
from mmctr_kedro.data.settings import ProcessingParams, SourceParams
from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files

NAMES = ("item_content", "item_tags", "provided_item_embedding", "train", "valid", "test", "data_report")


def processed(folder, max_history=64, names=("item_feature", "item_emb", "item_seq", "tag_words")) -> dict:
    described = describe(SourceParams(name="challenge_files"), folder)["files"]
    raw_files = {"files": {name: described[name] for name in (*REQUIRED, *names)}}
    made = process_raw_files(ProcessingParams(max_history=max_history), raw_files, folder)
    return dict(zip(NAMES, made, strict=True))


@pytest.fixture
def contracts(challenge_folder) -> dict:
    return processed(challenge_folder)


def test_each_user_and_history_is_stored_once_in_order_of_appearance(contracts):
    train = contracts["train"]
    assert train.history_user.tolist() == [1, 2, 1]
    assert train.history_offsets.tolist() == [0, 2, 2, 4]
    assert train.history_items.tolist() == [1, 2, 2, 1]
    assert train.history.tolist() == [0, 0, 1, 2]


def test_rows_keep_their_order_and_columns(contracts):
    train, valid, test = contracts["train"], contracts["valid"], contracts["test"]
    assert train.user.tolist() == [1, 1, 2, 1]
    assert train.item.tolist() == [3, 1, 1, 3]
    assert train.label.tolist() == [1, 0, 1, 0]
    assert train.likes_level.tolist() == [1, 2, 2, 5]
    assert train.views_level.tolist() == [10, 5, 5, 5]
    assert valid.row_id.tolist() == [0, 1]
    assert test.row_id.tolist() == [0, 1]
    assert test.label is None
    assert test.history_length.tolist() == [3, 2]


def test_arrays_have_the_types_of_the_contract(contracts):
    train = contracts["train"]
    types = {name: str(value.dtype) for name, value in vars(train).items()}
    assert types == {
        "history_user": "int32",
        "history_offsets": "int64",
        "history_items": "int32",
        "history": "int32",
        "item": "int32",
        "likes_level": "int8",
        "views_level": "int8",
        "row_id": "int64",
        "label": "int8",
    }


def test_an_empty_history_stays_an_empty_history(contracts):
    assert contracts["train"].history_length.tolist() == [2, 2, 0, 2]


def test_only_the_newest_clicks_are_kept(challenge_folder):
    train = processed(challenge_folder, max_history=1)["train"]
    assert train.history_items.tolist() == [2, 1]
    assert train.history_offsets.tolist() == [0, 1, 1, 2]


def test_histories_that_become_equal_by_keeping_the_newest_are_stored_once(challenge_tables, write_challenge):
    train = challenge_tables["train"]
    kind = train.schema.field("item_seq").type
    history = pa.array([[0] * 61 + [1, 2, 3], [0] * 61 + [3, 2, 3], [0] * 64, [0] * 64], kind)
    challenge_tables["train"] = train.set_column(1, "item_seq", history)
    train = processed(write_challenge(challenge_tables), max_history=2)["train"]
    assert train.history_user.tolist() == [1, 2, 1]
    assert train.history_items.tolist() == [2, 3]
    assert train.history.tolist() == [0, 0, 1, 2]


def test_control_characters_of_titles_and_words_reach_no_table(challenge_tables, write_challenge):
    """So they reach no page, no map and no terminal; line ends, tabs and every script stay."""
    for name, column, text in (
        ("item_feature", "item_title", ["red\x00 \x1b[31mfox\x9b", "two\tlines\né", "青い\u200fクジラ\x7f"]),
        ("tag_words", "word", ["ani\x08mal", "red"]),
    ):
        table = challenge_tables[name]
        challenge_tables[name] = table.set_column(table.column_names.index(column), column, pa.array(text))
    content = processed(write_challenge(challenge_tables))["item_content"]
    assert content["title"].tolist() == ["red [31mfox", "two\tlines\né", "青い\u200fクジラ"]
    assert content["tag_words"].map(list).tolist() == [["red", "animal"], [], ["animal"]]


def test_a_message_shows_no_control_character_of_a_value_that_it_names():
    assert str(MmctrError("a\x1b[2Jb\nc\td\x07")) == "a\ufffd[2Jb\nc\td\ufffd"
    assert "\x1b" not in str(InvalidDataError(["train: '\x1b[31m'"], "advice"))


def test_item_content_is_one_row_per_item(contracts):
    content = contracts["item_content"]
    assert content["item_id"].tolist() == [1, 2, 3]
    assert content["title"].tolist() == ["red fox", "", "blue whale"]
    assert [tags.tolist() for tags in content["tags"]] == [[7, 3], [], [3]]
    assert [words.tolist() for words in content["tag_words"]] == [["red", "animal"], [], ["animal"]]
    assert content["likes_level"].tolist() == [2, 10, 1]
    assert content["views_level"].tolist() == [5, 1, 10]


def test_item_content_keeps_its_types_on_disk(contracts):
    schema = pa.Schema.from_pandas(contracts["item_content"])
    kinds = {field.name: str(field.type).replace("large_", "") for field in schema}
    assert kinds["item_id"] == "int32"
    assert kinds["title"] == "string"
    assert kinds["tags"].endswith("int32>")
    assert kinds["tag_words"].endswith("string>")
    assert kinds["likes_level"] == kinds["views_level"] == "int8"


def test_a_tag_without_a_word_has_none(challenge_tables, write_challenge):
    challenge_tables["tag_words"] = challenge_tables["tag_words"].slice(0, 1)  # animal alone
    contracts = processed(write_challenge(challenge_tables))
    assert [words.tolist() for words in contracts["item_content"]["tag_words"]] == [
        ["animal"],
        [],
        ["animal"],
    ]
    assert contracts["data_report"]["items"]["tags_without_word"] == 1


def test_items_that_all_have_the_same_number_of_tags_keep_a_list_each(challenge_tables, write_challenge):
    feature = challenge_tables["item_feature"]
    tags = pa.array([[3], [7], [3]], feature.schema.field("item_tags").type)
    challenge_tables["item_feature"] = feature.set_column(2, "item_tags", tags)
    content = processed(write_challenge(challenge_tables))["item_content"]
    assert [tags.tolist() for tags in content["tags"]] == [[3], [7], [3]]
    assert [words.tolist() for words in content["tag_words"]] == [["animal"], ["red"], ["animal"]]


def test_without_a_vocabulary_there_are_no_words(challenge_folder):
    content = processed(challenge_folder, names=("item_feature",))["item_content"]
    assert [len(words) for words in content["tag_words"]] == [0, 0, 0]
    assert [len(tags) for tags in content["tags"]] == [2, 0, 1]


def test_without_item_feature_items_have_the_tags_of_item_info_no_titles_and_no_levels(challenge_folder):
    contracts = processed(challenge_folder, names=("tag_words",))
    content = contracts["item_content"]
    assert content["item_id"].tolist() == [1, 2, 3]
    assert content["title"].tolist() == ["", "", ""]
    assert [tags.tolist() for tags in content["tags"]] == [[7, 3], [], [3]]
    assert [words.tolist() for words in content["tag_words"]] == [["red", "animal"], [], ["animal"]]
    assert not content[["likes_level", "views_level"]].to_numpy().any()
    assert contracts["data_report"]["items"]["without_title"] == 3


def test_item_feature_needs_no_vectors(challenge_tables, write_challenge, contracts):
    vectors = ["txt_emb_BERT", "img_emb_CLIPRN50"]
    challenge_tables["item_feature"] = challenge_tables["item_feature"].drop_columns(vectors)
    assert processed(write_challenge(challenge_tables))["item_content"].equals(contracts["item_content"])


def test_tags_and_embedding_have_a_row_per_item_and_a_zero_row_for_padding(contracts):
    assert contracts["item_tags"].dtype == np.int32
    assert contracts["item_tags"].tolist() == [[0] * 5, [0, 0, 0, 7, 3], [0] * 5, [0, 0, 0, 0, 3]]
    embedding = contracts["provided_item_embedding"]
    assert embedding.dtype == np.float32
    assert np.array_equal(embedding, np.repeat([[0], [0.25], [0.5], [0.75]], 128, axis=1))


def test_items_in_another_order_give_the_same_contracts(challenge_tables, write_challenge, contracts):
    for name in ("item_info", "item_feature"):
        order = [2, 0, 1] + ([3] if name == "item_info" else [])
        challenge_tables[name] = challenge_tables[name].take(order)
    shuffled = processed(write_challenge(challenge_tables))
    assert np.array_equal(shuffled["item_tags"], contracts["item_tags"])
    assert np.array_equal(shuffled["provided_item_embedding"], contracts["provided_item_embedding"])
    assert shuffled["item_content"].equals(contracts["item_content"])


def test_the_report_counts_what_is_there_and_what_is_odd(contracts):
    report = contracts["data_report"]
    assert report["items"] == {
        "items": 3,
        "without_title": 1,
        "without_tags": 1,
        "most_tags": 2,
        "tags_without_word": 0,
        "likes_level": [1, 10],
        "views_level": [1, 10],
    }
    assert report["train"] == {
        "rows": 4,
        "users": 2,
        "histories": 3,
        "history_length": {"min": 0, "q25": 1, "median": 2, "q75": 2, "max": 2, "mean": 1.3333},
        "empty_histories": 1,
        "rows_with_empty_history": 1,
        "items": 2,
        "share_of_rows_with_item_not_in_train": 0,
        "rows_with_levels_unlike_their_item": 1,
        "likes_level": [1, 5],
        "views_level": [5, 10],
        "click_share": 0.5,
        "row_id_gaps": 0,
    }
    assert report["test"]["share_of_rows_with_item_not_in_train"] == 0.5
    assert report["test"]["click_share"] is None
    assert report["item_seq"] == {"rows": 3, "users": 3}


def test_gaps_in_test_ids_are_reported_and_kept(challenge_tables, write_challenge):
    challenge_tables["test"] = challenge_tables["test"].set_column(0, "ID", [[2, 5]])
    contracts = processed(write_challenge(challenge_tables))
    assert contracts["test"].row_id.tolist() == [2, 5]
    assert contracts["data_report"]["test"]["row_id_gaps"] == 4


@pytest.mark.parametrize("name", ["train", "item_emb"])
def test_a_file_that_changes_after_it_was_described_is_refused_with_both_digests(name, challenge_folder):
    raw_files = describe(SourceParams(name="challenge_files"), challenge_folder)
    path = challenge_folder.file(name)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(InvalidDataError) as error:
        process_raw_files(ProcessingParams(), raw_files, challenge_folder)
    now = describe(SourceParams(name="challenge_files"), challenge_folder)["files"][name]["sha256"]
    assert len(error.value.problems) == 1
    assert f"SHA-256 {raw_files['files'][name]['sha256']}, the file now {now}" in error.value.problems[0]
    assert "kedro run --pipeline data_processing" in str(error.value)


def test_a_file_that_is_gone_after_it_was_described_is_refused(challenge_folder):
    raw_files = describe(SourceParams(name="challenge_files"), challenge_folder)
    challenge_folder.file("valid").unlink()
    with pytest.raises(InvalidDataError, match=r"valid\.parquet: raw_files has SHA-256 \w{64}, the file now no file"):
        process_raw_files(ProcessingParams(), raw_files, challenge_folder)
