"""The challenge's files, checked, as the arrays and tables that everything else reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mmctr_kedro.data.challenge import PATHS, SPLITS, RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.processing.data_report import report
from mmctr_kedro.data.processing.item_content import read_items, with_levels
from mmctr_kedro.data.processing.problems import Problems
from mmctr_kedro.data.processing.raw_files import files_there
from mmctr_kedro.data.processing.rows import check_item_seq, read_clicks
from mmctr_kedro.data.settings import ProcessingParams


class ChallengeData(NamedTuple):
    """What the challenge's files hold, of N items with ids 1..N. Arrays by item have row 0 zeros, for padding.

    Attributes:
        item_content: One row per item, ascending: ``item_id`` int32, ``title`` str, ``tags`` (int arrays, unpadded),
            ``tag_words`` (str arrays), ``likes_level`` and ``views_level`` int8, 1..10, 0 where nobody knows.
        item_tags: ``[N+1, 5]`` int32, left-padded with 0.
        item_embedding: ``[N+1, 128]`` float32, as provided in item_info.parquet.
        train, valid: Rows with labels, in the file's order.
        test: Rows without; ``row_id`` is the file's ID.
        report: Plain JSON: counts, history lengths, levels, and what is odd but no error.
    """

    item_content: pd.DataFrame
    item_tags: np.ndarray
    item_embedding: np.ndarray
    train: Clicks
    valid: Clicks
    test: Clicks
    report: dict[str, Any]


def read_challenge(
    folder: RawFolder, params: ProcessingParams | None = None, *, names: Sequence[str] | None = None
) -> ChallengeData:
    """Read and check every file of the challenge, each column once.

    Args:
        folder: Holds train, valid, test and item_info.parquet below ``MicroLens_1M_x1/``; if there, also item_feature,
            item_emb, item_seq and tag_words.parquet (``data.challenge.PATHS``).
        params: How many clicks of a history are kept, by default the newest 64.
        names: The files to read, keys of ``PATHS``; None: all that are there.

    Raises:
        InvalidDataError: All that is wrong in any file, each with file, column, row, value and expectation.
    """
    params = params or ProcessingParams()
    if names is None:
        names = files_there(folder, f"Put the challenge's files into {folder.path}, or name the folder that has them.")
    problems = Problems()
    n_items, items = read_items(folder, names, problems)
    splits: dict[str, Clicks | None] = {}
    for split in SPLITS:
        with problems.reading(PATHS[split]):
            splits[split] = read_clicks(folder, split, n_items, params.max_history, problems)
    item_seq = None
    if "item_seq" in names:
        with problems.reading(PATHS["item_seq"]):
            item_seq = check_item_seq(folder, n_items, problems)
    problems.raise_if_any(folder.path)
    assert items is not None  # whatever could not be made is a problem by now
    train, valid, test = (clicks for clicks in splits.values() if clicks is not None)
    content, tags, embedding = items
    if params.history_levels:
        tags = with_levels(tags, content)
    found = report(content, {"train": train, "valid": valid, "test": test}, item_seq)
    return ChallengeData(content, tags, embedding, train, valid, test, found)
