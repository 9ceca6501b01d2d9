"""From an interaction log to the challenge's files."""

from __future__ import annotations

import json
import logging
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import atomic_write, scratch
from mmctr_kedro.common.words import percent, some
from mmctr_kedro.data.challenge import SPLITS, RawFolder, unknown_truth
from mmctr_kedro.data.challenge_writer import chunks
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.importing.log_files import SHOWN, ItemTable, count_rows, read_log
from mmctr_kedro.data.importing.log_items import levels_of, with_item, write_items
from mmctr_kedro.data.importing.splits import split_log, write_rows, write_sequences
from mmctr_kedro.data.settings import InteractionLogParams

logger = logging.getLogger(__name__)

A_FEW = 0.05  # a larger share without a match is said

RECORD = "import_log.json"  # in the challenge folder: that it was imported, and what was found


def import_interaction_log(
    params: InteractionLogParams, log_folder: RawFolder, challenge_folder: RawFolder
) -> pd.DataFrame:
    """Write every challenge file from the log in ``log_folder`` into ``challenge_folder``.

    Beside the challenge's files it writes ``item_ids.parquet`` and ``user_ids.parquet`` (our id, source
    id) and ``import_log.json`` (settings and counts). Popularity, levels and tags come from training time.

    Args:
        params: Which files and columns the log has, what counts as a click, and how rows are drawn; see docs/log.md.
        log_folder: The log, an item table if there is one, and covers; read only.
        challenge_folder: Where to; an earlier import there is replaced, and nobody else's files are.

    Returns:
        The truth, in its usual columns and without rows: nobody knows the best reachable pCTR of a real log.
    """
    if log_folder.path.resolve() == challenge_folder.path.resolve():
        raise MmctrError(
            f"log_folder and challenge_folder are both {log_folder.path}: an import would overwrite its "
            "source. Set another challenge_folder in globals.yml, or --params challenge_folder=..."
        )
    challenge_folder.refuse_foreign(RECORD, "imported")
    if params.covers is None:
        covers = Covers.find(log_folder.path)
    elif (path := log_folder.path / params.covers).exists():
        covers = Covers(path)
    else:
        raise MmctrError(
            f"{path} is missing: expected a folder or archive of covers named by item id. Correct "
            "params:import_log.covers, or unset it to use item_images/ or an archive of that name, if any."
        )
    limit: dict[str, Any] = {"memory_limit": f"{params.memory_gib}GiB"}
    with scratch(challenge_folder.path / "log") as room, duckdb.connect(room / "log.duckdb", config=limit) as database:
        try:
            _import(params, log_folder, challenge_folder, covers, database)
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise MmctrError(
                f"{log_folder.path / params.log.file} cannot be sorted in params:import_log.memory_gib="
                f"{params.memory_gib:g} GiB and the disk at {challenge_folder.path}: {error}. Raise that setting, or "
                "make room."
            ) from error
    return unknown_truth()


def _import(
    params: InteractionLogParams,
    log_folder: RawFolder,
    folder: RawFolder,
    covers: Covers,
    database: duckdb.DuckDBPyConnection,
) -> None:
    """The import, in an empty database."""
    log, items = read_log(log_folder.path, params, database)
    _check_matches(items, covers, params)
    count = len(items.ids)
    split = split_log(log, count, params, np.random.default_rng([params.seed, 0]))
    levels = levels_of(split.clicks), levels_of(split.views)
    record = {"made_by": "import_log", "params": params.model_dump()}
    _write_record({**record, "finished": False}, folder)
    found: dict[str, Any] = write_items(items, levels, split.views > 0, covers, params.most_unusable_covers, folder)
    found |= write_rows(log, split.clicks, levels, params, folder)
    write_sequences(log, folder)
    for kind in ("user", "item"):
        ids = database.sql(f"select id as {kind}_id, key as source_{kind}_id from {kind}s order by id")
        schema = ids.limit(0).to_arrow_table().schema
        with (
            atomic_write(folder.path / f"{kind}_ids.parquet") as path,
            pq.ParquetWriter(path, schema, compression="zstd") as writer,
        ):
            for part in chunks(count_rows(database, f"{kind}s"), 1 << 20):
                rows = ids.filter(f"{kind}_id > {part.start} and {kind}_id <= {part.stop}")
                writer.write_table(rows.to_arrow_table().combine_chunks())
    with_row = " union all ".join(f"select user from {name}" for name in SPLITS)
    idle = f"users where id not in ({with_row})"
    few = database.execute(f"select key from {idle} order by id limit {SHOWN}").fetchall()
    users_without_rows = count_rows(database, idle)
    shown = some([key for (key,) in few], total=users_without_rows)
    _say_lost(users_without_rows, log.users, f"users have too few clicks for a row: {shown}")
    alone = sum(count_rows(database, f"{name} where oldest = newest") for name in SPLITS)
    targets = sum(count_rows(database, name) for name in SPLITS)
    _say_lost(alone, targets, "clicks have no history: what was clicked at one time, or day, is not parted")
    found |= {
        "users": log.users,
        "users_without_rows": users_without_rows,
        "interactions": count_rows(database, "log"),
        "clicks": count_rows(database, "clicked"),
        "repeated_clicks_left_out": split.repeats,
        "items": count,
        "items_not_in_item_table": int((~items.in_table).sum()),
        "items_not_in_log": int((~items.in_log).sum()),
        "items_not_in_training_time": int((split.views == 0).sum()),
        "cover_files_ignored": covers.ignored,
        "items_with_several_covers": len(covers.duplicates),
    }
    _write_record({**record, "finished": True, "found": found}, folder)


def _check_matches(items: ItemTable, covers: Covers, params: InteractionLogParams) -> None:
    """Say which items and covers find no match, and stop where they are more than the settings allow."""
    lost, unused = items.in_log & ~items.in_table, items.in_table & ~items.in_log
    text = f"items of {params.log.file} have no row in {params.items.file}: {some(items.ids[lost].tolist())}"
    text += f"; without a click there: {some(items.ids[unused].tolist()) or 'none'}"
    _say_lost(int(lost.sum()), int(items.in_log.sum()), text, params.most_unmatched)
    files, matched = len(covers) + covers.ignored, with_item(covers, items.ids)
    # Covers of some items only, or of many more, are no loss: those that are fewer should find the others.
    fewer, text = min((files, "files among the covers are no item's"), (len(items.ids), "items have no cover"))
    strangers = some(np.setdiff1d(covers.item_ids, matched).tolist()) or "none"
    text += (
        f": items are {some(items.ids.tolist())}; covers of no item: {strangers}, and {covers.ignored:,} that are no "
    )
    _say_lost(fewer - len(matched), fewer, f"{text}NUMBER.jpg, .jpeg, .png or .webp", params.most_unmatched)


def _say_lost(lost: int, total: int, what: str, most: float = 1.0) -> None:
    """Warn where more than a few of ``total`` are lost, and raise beyond the share ``most``."""
    text = f"{lost:,} of {total:,} {what}"
    if lost > most * total:
        raise MmctrError(
            f"{text}. That is more than params:import_log.most_unmatched={most:g}. Write ids alike in all files, or "
            "go on without these: --params import_log.most_unmatched=1"
        )
    if lost > A_FEW * total:
        logger.warning("%s (%s)", text, percent(lost / total))


def _write_record(content: dict[str, Any], folder: RawFolder) -> None:
    with atomic_write(folder.path / RECORD) as path:
        path.write_text(json.dumps(content, indent=1) + "\n")
