"""Every kind of broken input is refused, naming file, column, row, value and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mmctr_kedro.common.errors import InvalidDataError
from mmctr_kedro.data.challenge import PATHS
from mmctr_kedro.data.processing.raw_files import describe
from mmctr_kedro.data.settings import ProcessingParams, SourceParams
from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files

Tables = dict[str, pa.Table]


def process(folder, names) -> tuple:
    described = describe(SourceParams(name="challenge_files"), folder)["files"]
    return process_raw_files(ProcessingParams(), {"files": {name: described[name] for name in names}}, folder)


def put(name: str, column: str, values: list, kind: pa.DataType | None = None) -> Callable[[Tables], None]:
    """Replace a column; its type stays unless one is given."""

    def change(tables: Tables) -> None:
        table = tables[name]
        place = table.column_names.index(column)
        array = pa.array(values, kind or table.schema.field(column).type)
        tables[name] = table.set_column(place, column, array)

    return change


def cell(name: str, column: str, row: int, value: Any, kind: pa.DataType | None = None):
    """Replace one value of a column."""

    def change(tables: Tables) -> None:
        values = tables[name][column].to_pylist()
        values[row] = value
        put(name, column, values, kind)(tables)

    return change


def rename(name: str, column: str, other: str):
    def change(tables: Tables) -> None:
        table = tables[name]
        tables[name] = table.rename_columns([other if c == column else c for c in table.column_names])

    return change


def rows(name: str, keep: list[int]):
    def change(tables: Tables) -> None:
        tables[name] = tables[name].take(pa.array(keep, pa.int64()))

    return change


def padded(*items: int, width: int = 64) -> list[int]:
    return [0] * (width - len(items)) + list(items)


LISTS = pa.list_(pa.int64())
NAN_VECTOR = [0.25] * 7 + [float("nan")] + [0.25] * 120

BROKEN = {
    "column missing": (
        lambda tables: tables.update(train=tables["train"].drop_columns(["label"])),
        ["train.parquet", "column 'label' is missing"],
    ),
    "column misspelt": (
        rename("valid", "label", "lable"),
        ["valid.parquet", "'label' is missing", "'lable'?"],
    ),
    "column of text": (
        put("train", "user_id", ["1", "1", "2", "1"], pa.string()),
        ["train.parquet", "column 'user_id': expected integers, found string"],
    ),
    "column of floats": (
        put("test", "item_id", [3.0, 2.0], pa.float64()),
        ["test.parquet", "column 'item_id': expected integers, found double"],
    ),
    "list column of numbers": (
        put("train", "item_seq", [1, 2, 3, 1], pa.int64()),
        ["train.parquet", "column 'item_seq': expected lists of integers, found int64"],
    ),
    "embedding of integers": (
        put("item_info", "item_emb_d128", [[0] * 128] * 4, pa.list_(pa.int64(), 128)),
        ["item_info.parquet", "'item_emb_d128': expected lists of floats, found fixed_size_list"],
    ),
    "label of 2": (
        cell("train", "label", 2, 2),
        ["train.parquet, column 'label': expected 0 or 1; found 2 in row 2"],
    ),
    "no click in valid": (
        put("valid", "label", [0, 0]),
        ["valid.parquet: column 'label': expected both 0 and 1, found 0 in every row"],
    ),
    "column twice": (
        lambda tables: tables.update(train=tables["train"].append_column("label", tables["train"]["label"])),
        ["train.parquet: column 'label': expected once, found 2 times"],
    ),
    "null label": (cell("valid", "label", 1, None), ["valid.parquet, column 'label'", "null in row 1"]),
    "level of 11": (
        cell("train", "likes_level", 3, 11),
        ["train.parquet, column 'likes_level': expected 0..10; found 11 in row 3"],
    ),
    "item without a level": (
        cell("item_feature", "views_level", 1, 0),
        ["item_feature.parquet, column 'views_level': expected 1..10; found 0 in row 1"],
    ),
    "user 0": (cell("train", "user_id", 1, 0), ["column 'user_id'", "found 0 in row 1"]),
    "user beyond 32 bits": (
        cell("test", "user_id", 0, 2**31),
        ["test.parquet, column 'user_id': expected 1..2147483647; found 2147483648 in row 0"],
    ),
    "unknown target item": (
        cell("valid", "item_id", 1, 4),
        ["valid.parquet, column 'item_id': expected an item of item_info, 1..3; found 4 in row 1"],
    ),
    "padding as target item": (cell("train", "item_id", 0, 0), ["'item_id'", "found 0 in row 0"]),
    "unknown item in a history": (
        cell("train", "item_seq", 3, padded(2, 4)),
        ["train.parquet, column 'item_seq': expected items of item_info, 1..3; found 4 in row 3"],
    ),
    "negative item in a history": (cell("test", "item_seq", 1, padded(-1, 2)), ["found -1 in row 1"]),
    "zero after an item": (
        cell("train", "item_seq", 1, [1, 0, 2, *padded(1, width=61)]),
        ["column 'item_seq': expected zeros only to the left of the first item; found 0 in row 1"],
    ),
    "right-padded history": (cell("valid", "item_seq", 0, [3] + [0] * 63), ["left", "found 0 in row 0"]),
    "null history": (
        cell("train", "item_seq", 2, None),
        ["'item_seq': expected a list; found null in row 2"],
    ),
    "null in a history": (
        cell("train", "item_seq", 0, [*padded(1, width=63), None]),
        ["'item_seq': expected no null in a list; found null in row 0"],
    ),
    "IDs out of order": (
        put("test", "ID", [1, 0]),
        ["test.parquet, column 'ID': expected an ID above the one before; found 0 in row 1"],
    ),
    "ID twice": (put("test", "ID", [0, 0]), ["column 'ID'", "found 0 in row 1"]),
    "negative ID": (put("test", "ID", [-1, 0]), ["column 'ID'", "found -1 in row 0"]),
    "no padding row": (
        rows("item_info", [1, 2, 3]),
        ["item_info.parquet: column 'item_id': expected a row for item 0"],
    ),
    "padding row not zero": (
        cell("item_info", "item_emb_d128", 0, [0.0] * 127 + [0.5]),
        ["'item_emb_d128': expected only zeros in the padding row (item 0); found 0.5 in row 0"],
    ),
    "padding row with a tag": (
        cell("item_info", "item_tags", 0, [0, 0, 0, 0, 9]),
        ["column 'item_tags': expected only zeros in the padding row (item 0); found 9 in row 0"],
    ),
    "null item id": (
        put("item_feature", "item_id", [1, 2, None]),
        ["item_feature.parquet, column 'item_id': expected a value; found null in row 2", "item 3"],
    ),
    "every label null": (
        put("train", "label", [None] * 4, pa.null()),
        ["train.parquet: column 'label': expected integers, found null"],
    ),
    "item twice": (
        put("item_feature", "item_id", [1, 2, 2]),
        ["item_feature.parquet, column 'item_id': expected every value once", "2 in row 1", "2 in row 2"],
    ),
    "gap in item ids": (
        put("item_info", "item_id", [0, 1, 2, 4]),
        ["item_info.parquet, column 'item_id': expected ids without gaps", "found 4 in row 3"],
    ),
    "item in item_info alone": (
        rows("item_feature", [0, 1]),
        [
            "item_feature.parquet: column 'item_id'",
            "every item of MicroLens_1M_x1/item_info.parquet",
            "item 3",
        ],
    ),
    "item in item_emb alone": (
        put("item_emb", "item_id", [1, 2, 9]),
        [
            "item_info.parquet: column 'item_id': expected every item of item_emb.parquet",
            "no row for item 9",
        ],
    ),
    "NaN in the embedding": (
        cell("item_info", "item_emb_d128", 2, NAN_VECTOR),
        ["'item_emb_d128': expected finite numbers; found nan in row 2"],
    ),
    "embedding too large for float32": (
        cell("item_info", "item_emb_d128", 1, [1e300] * 128),
        ["'item_emb_d128': expected finite numbers; found 1e+300 in row 1"],
    ),
    "infinite CLIP vector": (
        cell("item_feature", "img_emb_CLIPRN50", 0, [float("inf")] + [0.0] * 1023),
        ["item_feature.parquet, column 'img_emb_CLIPRN50': expected finite numbers; found inf in row 0"],
    ),
    "embedding too short": (
        put(
            "item_info",
            "item_emb_d128",
            [[0.0] * 128, [0.0] * 64, [0.0] * 128, [0.0] * 128],
            pa.list_(pa.float64()),
        ),
        ["'item_emb_d128': expected 128 values in every row; found 64 values in row 1"],
    ),
    "null vector": (
        cell("item_info", "item_emb_d128", 1, None),
        ["'item_emb_d128': expected a list; found null"],
    ),
    "six tags": (
        put("item_info", "item_tags", [[0] * 5, [0] * 6, [0] * 5, [0] * 5], LISTS),
        ["column 'item_tags': expected 5 values in every row; found 6 values in row 1"],
    ),
    "negative tag": (
        cell("item_feature", "item_tags", 2, [-3]),
        ["'item_tags': expected tag ids", "-3 in row 2"],
    ),
    "tag that would need a table of terabytes": (
        cell("item_feature", "item_tags", 2, [2_000_000_000]),
        ["'item_tags': expected tag ids", "2000000000 in row 2"],
    ),
    "tag word twice": (
        put("tag_words", "tag_id", [3, 3]),
        ["tag_words.parquet, column 'tag_id'", "3 in row 0"],
    ),
    "empty tag word": (cell("tag_words", "word", 1, ""), ["tag_words.parquet, column 'word'", "'' in row 1"]),
    "unknown item in item_seq": (
        cell("item_seq", "item_seq", 1, [3, 8]),
        ["item_seq.parquet, column 'item_seq': expected items of item_info, 1..3; found 8 in row 1"],
    ),
    "user 0 in item_seq": (
        cell("item_seq", "user_id", 2, 0),
        ["item_seq.parquet, column 'user_id'", "row 2"],
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_table_is_refused_naming_the_place(kind, challenge_tables, write_challenge):
    corrupt, fragments = BROKEN[kind]
    corrupt(challenge_tables)
    folder = write_challenge(challenge_tables)
    with pytest.raises(InvalidDataError) as error:
        process(folder, challenge_tables)
    for fragment in fragments:
        assert fragment in str(error.value)


@pytest.mark.parametrize("name", [name for name in PATHS if name != "tag_words"])
def test_a_table_without_rows_is_named(name, challenge_tables, write_challenge):
    rows(name, [])(challenge_tables)
    with pytest.raises(InvalidDataError) as error:
        process(write_challenge(challenge_tables), challenge_tables)
    assert f"{PATHS[name]}: has no rows; expected at least one" in error.value.problems


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("broken", ["truncated", "not parquet", "empty"])
def test_a_file_that_cannot_be_read_is_named_among_the_other_problems(name, broken, challenge_tables, write_challenge):
    cell("train" if name != "train" else "valid", "label", 0, 5)(challenge_tables)
    folder = write_challenge(challenge_tables)
    content = folder.file(name).read_bytes()
    folder.file(name).write_bytes({"truncated": content[:-20], "not parquet": b"hello " * 20, "empty": b""}[broken])
    with pytest.raises(InvalidDataError) as error:
        process(folder, challenge_tables)
    assert any(problem.startswith(f"{PATHS[name]}: cannot be read as parquet") for problem in error.value.problems)
    assert any("column 'label'" in problem for problem in error.value.problems)


def test_a_page_that_cannot_be_read_is_a_problem_of_its_file(challenge_tables, write_challenge):
    """The footer is sound, so the file opens; the damage shows only when a column is read."""
    folder = write_challenge(challenge_tables)
    content = bytearray(folder.file("train").read_bytes())
    content[4:400] = b"\xff" * 396
    folder.file("train").write_bytes(content)
    with pytest.raises(InvalidDataError, match=r"train\.parquet: cannot be read as parquet"):
        process(folder, challenge_tables)


def test_all_problems_of_two_files_come_in_one_error(challenge_tables, write_challenge):
    for corrupt in (
        cell("train", "label", 2, 2),
        cell("train", "item_seq", 3, padded(2, 4)),
        put("test", "ID", [1, 0]),
        rename("test", "user_id", "user"),
    ):
        corrupt(challenge_tables)
    with pytest.raises(InvalidDataError) as error:
        process(write_challenge(challenge_tables), challenge_tables)
    assert len(error.value.problems) == 4
    assert sorted(problem.split(".parquet")[0] for problem in error.value.problems) == [
        "MicroLens_1M_x1/test",
        "MicroLens_1M_x1/test",
        "MicroLens_1M_x1/train",
        "MicroLens_1M_x1/train",
    ]


def test_the_error_says_where_the_files_are_and_what_to_run_next(challenge_tables, write_challenge):
    cell("train", "label", 2, 2)(challenge_tables)
    folder = write_challenge(challenge_tables)
    with pytest.raises(InvalidDataError) as error:
        process(folder, challenge_tables)
    assert str(folder.path) in str(error.value)
    assert "kedro run --pipeline data_processing" in str(error.value)


def test_many_rows_with_one_kind_of_problem_are_one_problem_with_five_examples(challenge_tables, write_challenge):
    challenge_tables["train"] = pa.concat_tables([challenge_tables["train"]] * 100)
    put("train", "label", [7] * 400)(challenge_tables)
    with pytest.raises(InvalidDataError) as error:
        process(write_challenge(challenge_tables), challenge_tables)
    assert len(error.value.problems) == 1
    assert error.value.problems[0].endswith("found " + ", ".join(f"7 in row {i}" for i in range(5)) + " (400 in all)")


def test_rows_are_counted_through_the_whole_file_not_within_a_batch(challenge_tables, write_challenge, monkeypatch):
    monkeypatch.setattr("mmctr_kedro.data.processing.rows.BATCH_ROWS", 3)
    challenge_tables["train"] = pa.concat_tables([challenge_tables["train"]] * 5)
    cell("train", "item_seq", 17, padded(9))(challenge_tables)
    with pytest.raises(InvalidDataError, match="found 9 in row 17"):
        process(write_challenge(challenge_tables), challenge_tables)


def test_a_vocabulary_without_words_is_none(challenge_tables, write_challenge):
    """What an import of a log without tags writes."""
    rows("tag_words", [])(challenge_tables)
    put("item_feature", "item_tags", [[], [], []])(challenge_tables)
    put("item_info", "item_tags", [[0] * 5] * 4)(challenge_tables)
    folder = write_challenge(challenge_tables)
    content, tags, *_ = process(folder, challenge_tables)
    assert [len(words) for words in content["tag_words"]] == [0, 0, 0]
    assert not tags.any()


def test_text_may_come_as_views(challenge_tables, write_challenge):
    put("item_feature", "item_title", ["red fox", None, "blue whale"], pa.string_view())(challenge_tables)
    folder = write_challenge(challenge_tables)
    content = process(folder, challenge_tables)[0]
    assert content["title"].tolist() == ["red fox", "", "blue whale"]


FORMS = ("list", "large list", "fixed-size list")


@pytest.mark.parametrize("integer", [pa.int32(), pa.int64()], ids=str)
@pytest.mark.parametrize("floating", [pa.float32(), pa.float64()], ids=str)
@pytest.mark.parametrize("variant", FORMS)
def test_every_published_form_of_a_column_is_accepted(integer, floating, variant, challenge_tables, write_challenge):
    def cast(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_integer(kind):
            return integer
        if pa.types.is_floating(kind):
            return floating
        if not hasattr(kind, "value_type"):
            return kind
        fixed = pa.types.is_fixed_size_list(kind)
        inner = cast(kind.value_type)
        if variant == "fixed-size list":
            return pa.list_(inner, kind.list_size) if fixed else pa.list_(inner)
        return pa.large_list(inner) if variant == "large list" else pa.list_(inner)

    names = list(challenge_tables)
    expected = process(write_challenge(challenge_tables), names)
    for name, table in challenge_tables.items():
        kinds = {field.name: cast(field.type) for field in table.schema}
        challenge_tables[name] = pa.table({c: pa.array(table[c].to_pylist(), kinds[c]) for c in kinds})
    found = process(write_challenge(challenge_tables), names)
    assert found[0].equals(expected[0])
    assert all(np.array_equal(found[i], expected[i]) for i in (1, 2))
    for split, other in zip(found[3:6], expected[3:6], strict=True):
        assert all(
            np.array_equal(value, getattr(other, name)) for name, value in vars(split).items() if name != "label"
        )
    assert found[6] | {"raw_files": None} == expected[6] | {"raw_files": None}


def test_histories_of_any_width_padded_or_not_are_accepted(challenge_tables, write_challenge):
    """An unpadded list says the same as a padded one; of more than 64 clicks the newest are kept."""
    histories = [[1] * 10 + [2] * 60, [1], [0, 0, 3], []]
    put("train", "item_seq", histories, LISTS)(challenge_tables)
    folder = write_challenge(challenge_tables)
    train = process(folder, challenge_tables)[3]
    assert train.history_items.tolist() == [1] * 4 + [2] * 60 + [1] + [3]
    assert train.history_length.tolist() == [64, 1, 1, 0]


def test_the_older_left_padded_item_seq_with_several_rows_per_user_is_accepted(challenge_tables, write_challenge):
    sequences = [[0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 3]]
    challenge_tables["item_seq"] = pa.table({"user_id": [1, 1, 1, 2], "item_seq": sequences})
    folder = write_challenge(challenge_tables)
    report = process(folder, challenge_tables)[6]
    assert report["item_seq"] == {"rows": 4, "users": 2}


def test_an_index_stored_by_pandas_does_not_move_row_numbers(challenge_tables, write_challenge):
    frame = challenge_tables["train"].to_pandas()
    frame.index = [40, 41, 42, 43]
    frame.loc[42, "label"] = 9
    challenge_tables["train"] = pa.Table.from_pandas(frame)
    with pytest.raises(InvalidDataError, match="found 9 in row 2"):
        process(write_challenge(challenge_tables), challenge_tables)


def test_columns_the_challenge_does_not_have_are_left_alone(challenge_tables, write_challenge):
    train = challenge_tables["train"]
    challenge_tables["train"] = train.append_column("extra", pc.add(train["user_id"], 1))
    process(write_challenge(challenge_tables), challenge_tables)
