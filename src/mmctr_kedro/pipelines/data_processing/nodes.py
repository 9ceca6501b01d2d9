"""Raw challenge files in; the contracts that every other pipeline reads out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.challenge import PATHS, RawFolder, unknown_truth
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.settings import InteractionLogParams, ProcessingParams, SourceParams
from mmctr_kedro.worlds.settings import WorldParams

SPLITS = ("train", "valid", "test")


def prepare_raw_files(
    source: SourceParams,
    simulate: WorldParams,
    import_log: InteractionLogParams,
    challenge_folder: RawFolder,
    log_folder: RawFolder,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Have the challenge's files in ``challenge_folder``, whatever their source.

    Returns:
        raw_files: Source, world version, and path, bytes, rows and SHA-256 of every file; of the covers together.
        truth: ``split``, ``row_id``, ``posterior`` of every valid and test row; no rows where nobody knows.
    """
    from mmctr_kedro.data.processing.raw_files import describe

    if source.name == "simulated":
        from mmctr_kedro.worlds.world import write_world

        truth = write_world(simulate, challenge_folder)
    elif source.name == "interaction_log":
        from mmctr_kedro.data.importing.log import import_interaction_log

        truth = import_interaction_log(import_log, log_folder, challenge_folder)
    else:
        truth = unknown_truth()
    return describe(source, challenge_folder), truth


def process_raw_files(
    processing: ProcessingParams, raw_files: dict[str, Any], challenge_folder: RawFolder
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, Clicks, Clicks, Clicks, dict[str, Any]]:
    """Validate every raw file and make the contracts from it, reading each column once.

    One node, so that the problems of all files are reported together.

    Returns:
        item_content, item_tags, provided_item_embedding, clicks_train, clicks_valid, clicks_test and
        data_report; docs/architecture.md says what each is.

    Raises:
        InvalidDataError: Files that are not those of ``raw_files`` any more, or everything that is wrong in any.
    """
    from mmctr_kedro.data.processing.data_report import report
    from mmctr_kedro.data.processing.item_content import read_items, with_levels
    from mmctr_kedro.data.processing.problems import Problems
    from mmctr_kedro.data.processing.raw_files import refuse_changed
    from mmctr_kedro.data.processing.rows import check_item_seq, read_clicks

    refuse_changed(raw_files, challenge_folder)
    problems = Problems()
    n_items, items = read_items(challenge_folder, list(raw_files["files"]), problems)
    splits: dict[str, Clicks | None] = {}
    for split in SPLITS:
        with problems.reading(PATHS[split]):
            splits[split] = read_clicks(challenge_folder, split, n_items, processing.max_history, problems)
    item_seq = None
    if "item_seq" in raw_files["files"]:
        with problems.reading(PATHS["item_seq"]):
            item_seq = check_item_seq(challenge_folder, n_items, problems)
    problems.raise_if_any(challenge_folder.path)
    assert items is not None  # whatever could not be made is a problem by now
    train, valid, test = (clicks for clicks in splits.values() if clicks is not None)
    content, tags, embedding = items
    if processing.history_levels:
        tags = with_levels(tags, content)
    data_report = report(content, {"train": train, "valid": valid, "test": test}, item_seq)
    return content, tags, embedding, train, valid, test, data_report
