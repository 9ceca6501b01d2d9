"""Items: item_info (tags and provided embedding), item_feature (words and levels), item_emb and tag_words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mmctr_kedro.common.words import some
from mmctr_kedro.data.challenge import PATHS, SCHEMAS, RawFolder
from mmctr_kedro.data.challenge_writer import padded_tags
from mmctr_kedro.data.clicks import LEVELS
from mmctr_kedro.data.processing.problems import EXAMPLES, Problems
from mmctr_kedro.data.processing.raw_tables import open_table

BATCH_ROWS = 8_192  # an item_feature row has 1,792 floats: some 60 MB at a time
# The challenge has 11,739. A model has a row per tag up to the largest: a damaged id must not ask for terabytes.
MAX_TAG = 1_000_000
Columns = dict[str, Any]  # scalars [n], lists of tags as n arrays, the provided embedding [n, 128], in the file's order


def read_items(
    folder: RawFolder, names: Sequence[str], problems: Problems
) -> tuple[int | None, tuple[pd.DataFrame, np.ndarray, np.ndarray] | None]:
    """Read and check every item file; ``names`` are the files that are there.

    Returns:
        N, where items are 1..N, or None if that cannot be told. And, unless some file has a problem, the contracts
        ``item_content``, ``item_tags`` and ``provided_item_embedding``.
    """
    found: dict[str, Columns] = {}
    for name in ("item_info", "item_feature", "item_emb", "tag_words"):
        if name in names:
            found[name] = {}
            with problems.reading(PATHS[name]):
                found[name] = _read_columns(folder, name, problems)
    info, feature = (found.get(name, {}) for name in ("item_info", "item_feature"))
    for name in ("item_feature", "item_emb"):
        if "item_id" in info and "item_id" in found.get(name, {}):
            _check_same_items(info["item_id"], found[name]["item_id"], name, problems)
    ids = info.get("item_id", feature.get("item_id"))
    count = None if ids is None else int(ids.max(initial=0)) or None
    if any(PATHS[name] in problems for name in found):
        return count, None
    order = np.argsort(info["item_id"])
    tags = [info["item_tags"][row] for row in order]
    if not feature:  # what it would say: item_info's tags, no titles, and levels that nobody knows
        feature = {"item_id": info["item_id"][order][1:], "item_tags": tags[1:]}
        feature["item_title"] = np.full(len(tags) - 1, "", dtype=object)
        feature["likes_level"] = feature["views_level"] = np.zeros(len(tags) - 1, np.int8)
    vocabulary = found.get("tag_words") or {"tag_id": [], "word": []}
    content = _item_content(feature, dict(zip(vocabulary["tag_id"], vocabulary["word"], strict=True)))
    return count, (content, padded_tags(tags).astype(np.int32), info["item_emb_d128"][order])


def with_levels(tags: np.ndarray, content: pd.DataFrame) -> np.ndarray:
    """Likes and views of each item as two more tags, of numbers no tag has: ``[N + 1, 7]``, row 0 zeros.

    So a model that looks up the tags of history items sees their levels: an added feature, for research alone.
    """
    first_free = int(tags.max(initial=0)) + 1
    levels = content[["likes_level", "views_level"]].to_numpy(dtype=tags.dtype)
    own = first_free + levels + np.array([0, LEVELS], dtype=tags.dtype)
    return np.hstack([tags, np.pad(own, ((1, 0), (0, 0)))])


def _read_columns(folder: RawFolder, name: str, problems: Problems) -> Columns:
    """The columns of one file, checked by themselves; of vectors only the provided embedding is kept."""
    table = open_table(folder, name, problems)
    columns: Columns = table.scalars()
    for field in SCHEMAS[name]:
        if field.name not in table.columns or field.name in columns:
            continue
        width = field.type.list_size if pa.types.is_fixed_size_list(field.type) else None
        if pa.types.is_integer(field.type.value_type):
            batches = table.id_lists(field.name, MAX_TAG, "tag ids", BATCH_ROWS, width)
            columns[field.name] = [tags for lists in batches for tags in np.split(lists.values, lists.offsets[1:-1])]
        elif width is not None:
            kept = [vectors for vectors in table.vectors(field.name, width, BATCH_ROWS) if name == "item_info"]
            if kept:
                columns[field.name] = np.concatenate(kept)
    if name == "tag_words" or "item_id" not in columns:
        return columns
    ids = columns["item_id"]
    order = np.argsort(ids, kind="stable")
    gaps = order[np.diff(ids[order], prepend=0) > 1]
    problems.add_rows(table.file, "item_id", "ids without gaps, but the one before is missing", gaps, ids[gaps])
    if name == "item_info":
        padding = np.flatnonzero(ids == 0)
        if not len(padding):
            problems.add(
                table.file, "column 'item_id': expected a row for item 0, the padding row of zeros, found none"
            )
        for column in ("item_tags", "item_emb_d128"):
            if len(padding) and len(columns.get(column, ())) == len(ids):  # else a row is unfit, and a problem by now
                values = columns[column][padding[0]]
                wrong = values[values != 0][:1]
                expected = "only zeros in the padding row (item 0)"
                problems.add_rows(table.file, column, expected, padding[: len(wrong)], wrong)
    return columns


def _check_same_items(info: np.ndarray, other: np.ndarray, other_name: str, problems: Problems) -> None:
    """Every item of item_info, but the padding row, is in the other file, and no more."""
    for lacking, holding, ids in (
        (other_name, "item_info", np.setdiff1d(info[info != 0], other)),
        ("item_info", other_name, np.setdiff1d(other, info)),
    ):
        if len(ids):
            says = f"expected every item of {PATHS[holding]}; no row for item {some(ids.tolist(), EXAMPLES)}"
            problems.add(PATHS[lacking], f"column 'item_id': {says}")


def _item_content(feature: Columns, words: dict[int, str]) -> pd.DataFrame:
    """The contract ``item_content``. A tag without a word has none in ``tag_words``."""
    order = np.argsort(feature["item_id"])
    tags = [feature["item_tags"][row] for row in order]
    named = [np.array([words[tag] for tag in row if tag in words], dtype=object) for row in (t.tolist() for t in tags)]
    return pd.DataFrame(
        {
            "item_id": feature["item_id"][order].astype(np.int32),
            "title": feature["item_title"][order],
            "tags": pd.Series(tags, dtype=object),
            "tag_words": pd.Series(named, dtype=object),
            "likes_level": feature["likes_level"][order].astype(np.int8),
            "views_level": feature["views_level"][order].astype(np.int8),
        }
    )
