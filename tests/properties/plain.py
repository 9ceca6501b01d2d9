"""The challenge's files read the slow, plain way, row by row: what property tests hold the pipeline against.

Nothing of data_processing is used here. Files must be sound: what is wrong with them is not said.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from unicodedata import category

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks

SPLITS = ("train", "valid", "test")
Plain = dict[str, Any]


def read(folder: RawFolder, names: list[str], max_history: int) -> Plain:
    """What the contracts must say about the files of ``folder`` that are named."""
    tables = {name: pq.read_table(folder.file(name)).to_pylist() for name in names}
    info = sorted(tables["item_info"], key=lambda row: row["item_id"])
    words = {row["tag_id"]: row["word"] for row in tables.get("tag_words", [])}
    return {
        "embedding": [np.array(row["item_emb_d128"], np.float32).tolist() for row in info],
        "tags": [([0] * 5 + _items(row["item_tags"]))[-5:] for row in info],
        "content": [_content(row, words) for row in sorted(tables["item_feature"], key=lambda row: row["item_id"])],
        **{split: [_row(*numbered, max_history) for numbered in enumerate(tables[split])] for split in SPLITS},
    }


def of_contracts(made: tuple) -> Plain:
    """The same from what ``process_raw_files`` made."""
    content, tags, embedding, *splits, _ = made
    return {
        "embedding": embedding.tolist(),
        "tags": tags.tolist(),
        "content": [_listed(row) for row in content.itertuples(index=False)],
        **{name: rows_of(clicks) for name, clicks in zip(SPLITS, splits, strict=True)},
    }


def rows_of(clicks: Clicks) -> list[tuple]:
    """User, history, item, levels, id and label of every row."""
    histories = [clicks.history_items[a:b].tolist() for a, b in pairwise(clicks.history_offsets)]
    return [
        (
            int(clicks.history_user[clicks.history[row]]),
            histories[clicks.history[row]],
            int(clicks.item[row]),
            int(clicks.likes_level[row]),
            int(clicks.views_level[row]),
            int(clicks.row_id[row]),
            None if clicks.label is None else int(clicks.label[row]),
        )
        for row in range(len(clicks))
    ]


def _row(number: int, row: dict[str, Any], max_history: int) -> tuple:
    levels = row["likes_level"], row["views_level"]
    history = _items(row["item_seq"])[-max_history:]
    return row["user_id"], history, row["item_id"], *levels, row.get("ID", number), row.get("label")


def _content(row: dict[str, Any], words: dict[int, str]) -> tuple:
    tags = _items(row["item_tags"])
    named = [words[tag] for tag in tags if tag in words]
    # A control character is no letter: category Cc, but for tabs and line ends.
    title = "".join(letter for letter in row["item_title"] or "" if category(letter) != "Cc" or letter in "\t\n\r")
    return row["item_id"], title, tags, named, row["likes_level"], row["views_level"]


def _listed(row: Any) -> tuple:
    return tuple(value.tolist() if isinstance(value, np.ndarray | np.generic | pd.Series) else value for value in row)


def _items(padded: list[int]) -> list[int]:
    return [item for item in padded if item]
