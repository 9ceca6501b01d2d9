"""Any sound challenge files pass, and the contracts say what a slow loop reads; any one broken rule is named."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kedro.common.errors import InvalidDataError
from mmctr_kedro.data.challenge import EMBEDDING_WIDTH, HISTORY_WIDTH, PATHS, SCHEMAS, TAG_WIDTH, RawFolder
from mmctr_kedro.data.processing.raw_files import describe
from mmctr_kedro.data.settings import ProcessingParams, SourceParams
from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files
from tests.properties import plain

quick = settings(max_examples=15, deadline=None, derandomize=True)
LEVEL = st.integers(0, 10)
Columns = dict[str, list]


def vectors(seed: int, rows: int, width: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(rows, width)))


def left_padded(items: list[int], width: int) -> list[int]:
    return [0] * (width - len(items)) + items


@st.composite
def challenges(draw) -> dict[str, Columns]:
    """Columns of every challenge file: up to five items, a few rows of a few users, histories from none to full."""
    items = draw(st.integers(1, 5))
    item = st.integers(1, items)
    history = st.one_of(st.lists(item, max_size=4), st.lists(item, min_size=HISTORY_WIDTH, max_size=HISTORY_WIDTH))
    tags = draw(st.lists(st.lists(st.integers(1, 9), max_size=TAG_WIDTH), min_size=items, max_size=items))
    seed = draw(st.integers(0, 99))
    order = draw(st.permutations(range(items)))
    tables: dict[str, Columns] = {}
    for split in plain.SPLITS:
        rows = draw(st.lists(st.tuples(st.integers(1, 3), history, item, LEVEL, LEVEL), min_size=2, max_size=6))
        users, histories, targets, likes, views = (list(column) for column in zip(*rows, strict=True))
        tables[split] = {
            "user_id": users,
            "item_seq": [left_padded(each, HISTORY_WIDTH) for each in histories],
            "item_id": targets,
            "likes_level": likes,
            "views_level": views,
        }
        if split == "test":
            steps = draw(st.lists(st.integers(1, 3), min_size=len(rows), max_size=len(rows)))
            tables[split]["ID"] = [sum(steps[: place + 1]) - 1 for place in range(len(rows))]
        else:
            more = draw(st.lists(st.integers(0, 1), min_size=len(rows) - 2, max_size=len(rows) - 2))
            tables[split]["label"] = [1, 0, *more]
    tables["item_info"] = {
        "item_id": [0, *(place + 1 for place in order)],
        "item_tags": [[0] * TAG_WIDTH, *(left_padded(tags[place], TAG_WIDTH) for place in order)],
        "item_emb_d128": [np.zeros(EMBEDDING_WIDTH), *vectors(seed, items, EMBEDDING_WIDTH)],
    }
    titles = st.one_of(st.none(), st.text(max_size=8))
    levels = st.lists(st.integers(1, 10), min_size=items, max_size=items)
    tables["item_feature"] = {
        "item_id": [place + 1 for place in reversed(order)],
        "item_title": draw(st.lists(titles, min_size=items, max_size=items)),
        "item_tags": [tags[place] for place in reversed(order)],
        "likes_level": draw(levels),
        "views_level": draw(levels),
        "txt_emb_BERT": vectors(seed, items, 768),
        "img_emb_CLIPRN50": vectors(seed, items, 1024),
    }
    known = draw(st.sets(st.integers(1, 9)))
    tables["tag_words"] = {"tag_id": sorted(known), "word": [f"w{tag}" for tag in sorted(known)]}
    if draw(st.booleans()):
        tables["item_seq"] = {"user_id": [1, 2], "item_seq": [[1], []]}
    return tables


def write(tables: dict[str, Columns], path: str, narrow: bool = False, row_group_size: int = 100) -> RawFolder:
    """As files, in the published types or in narrower ones that are accepted too."""
    folder = RawFolder(Path(path))
    for name, columns in tables.items():
        schema = pa.schema([_narrowed(field) for field in SCHEMAS[name]]) if narrow else SCHEMAS[name]
        table = pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema}, schema)
        folder.file(name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, folder.file(name), row_group_size=row_group_size)
    return folder


def _narrowed(field: pa.Field) -> pa.Field:
    if pa.types.is_integer(field.type):
        return field.with_type(pa.int32())
    if hasattr(field.type, "value_type"):
        return field.with_type(pa.large_list(_narrowed(pa.field("item", field.type.value_type)).type))
    return field


def process(folder: RawFolder, max_history: int = 64) -> tuple:
    return process_raw_files(
        ProcessingParams(max_history=max_history), describe(SourceParams(name="challenge_files"), folder), folder
    )


@settings(quick, max_examples=30)
@given(challenges(), st.integers(1, HISTORY_WIDTH), st.booleans(), st.integers(1, 3))
def test_sound_files_become_what_a_slow_loop_reads_from_them(tables, max_history, narrow, row_group_size):
    with tempfile.TemporaryDirectory() as path:
        folder = write(tables, path, narrow, row_group_size)
        made = plain.of_contracts(process(folder, max_history))
        assert made == plain.read(folder, list(tables), max_history)


def spoiled(*items: int, width: int = HISTORY_WIDTH) -> list[int]:
    return left_padded(list(items), width)


# file, column, a value that no row may have, what the report calls it
RULES = [
    *((split, "user_id", value, str(value)) for split in plain.SPLITS for value in (0, -1, 2**31)),
    *((split, "item_id", value, str(value)) for split in plain.SPLITS for value in (0, -7, 6)),
    *((split, level, value, str(value)) for split in plain.SPLITS for level in ("likes_level", "views_level")
      for value in (-1, 11)),
    *((split, "item_seq", spoiled(1, 6, 1), "6") for split in plain.SPLITS),
    *((split, "item_seq", spoiled(-2, 1), "-2") for split in plain.SPLITS),
    *((split, "item_seq", spoiled(1, 0, 1), "0") for split in plain.SPLITS),
    *((split, "item_seq", None, "null") for split in plain.SPLITS),
    *((split, column, None, "null") for split in ("train", "valid") for column in ("user_id", "item_id", "label")),
    *((split, "label", value, str(value)) for split in ("train", "valid") for value in (2, -1)),
    ("test", "ID", -1, "-1"),
    ("item_feature", "likes_level", 0, "0"),
    ("item_feature", "views_level", 11, "11"),
    ("item_feature", "item_tags", [3, -4], "-4"),
    ("item_feature", "item_tags", [2_000_000], "2000000"),
    ("item_feature", "txt_emb_BERT", np.full(768, np.nan), "nan"),
    ("item_feature", "img_emb_CLIPRN50", np.full(1024, np.inf), "inf"),
    ("item_info", "item_tags", spoiled(2_000_000, width=TAG_WIDTH), "2000000"),
    ("item_info", "item_emb_d128", np.full(EMBEDDING_WIDTH, 1e300), "1e+300"),
]  # fmt: skip


@settings(quick, max_examples=60)
@given(challenges(), st.sampled_from(RULES), st.data())
def test_one_broken_value_is_reported_with_its_file_column_row_and_value(tables, rule, data):
    name, column, value, found = rule
    row = data.draw(st.integers(0, len(tables[name][column]) - 1), label="row")
    values = tables[name][column].copy()
    # The padding row of item_info has rules of its own, and a first ID below 0 is the same break as any.
    row = max(row, 1) if name == "item_info" else row
    values[row] = value
    tables[name] = tables[name] | {column: values}
    with tempfile.TemporaryDirectory() as path, pytest.raises(InvalidDataError) as error:
        process(write(tables, path))
    place = f"{PATHS[name]}, column '{column}': "
    reported = [problem for problem in error.value.problems if problem.startswith(place)]
    assert [problem for problem in reported if f"{found} in row {row}" in problem], error.value.problems
    # One value breaks no other file and no other column.
    assert all(PATHS[name] in problem and f"column '{column}'" in problem for problem in error.value.problems)


@quick
@given(challenges(), st.data())
def test_ids_that_do_not_ascend_are_reported_at_the_first_row_that_falls(tables, data):
    ids = tables["test"]["ID"]
    row = data.draw(st.integers(1, len(ids) - 1))
    ids[row:] = [ids[row - 1]] + [ids[row - 1] + 1 + n for n in range(len(ids) - row - 1)]
    with tempfile.TemporaryDirectory() as path, pytest.raises(InvalidDataError) as error:
        process(write(tables, path))
    expected = f"{PATHS['test']}, column 'ID': expected an ID above the one before; found {ids[row]} in row {row}"
    assert error.value.problems == [expected]


@quick
@given(challenges(), st.sampled_from(["item_info", "item_feature"]), st.data())
def test_an_item_that_only_one_item_file_has_is_reported(tables, name, data):
    kept = [place for place, item in enumerate(tables[name]["item_id"]) if item]
    gone = data.draw(st.sampled_from(kept))
    item = tables[name]["item_id"][gone]
    tables[name] = {column: values[:gone] + values[gone + 1 :] for column, values in tables[name].items()}
    with tempfile.TemporaryDirectory() as path, pytest.raises(InvalidDataError) as error:
        process(write(tables, path))
    assert [problem for problem in error.value.problems if PATHS[name] in problem], error.value.problems
    assert [problem for problem in error.value.problems if f"no row for item {item}" in problem or "no rows" in problem]
