"""From an interaction log to the challenge's files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.data.challenge import RawFolder, unknown_truth
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.importing.log_files import read_log
from mmctr_kedro.data.importing.log_items import levels_of, write_items
from mmctr_kedro.data.importing.negatives import Negatives
from mmctr_kedro.data.importing.splits import split_log, write_rows, write_sequences
from mmctr_kedro.data.settings import InteractionLogParams

RECORD = "import_log.json"  # in the challenge folder: that it was imported, and what was found


def import_interaction_log(
    params: InteractionLogParams, log_folder: RawFolder, challenge_folder: RawFolder
) -> pd.DataFrame:
    """Write every challenge file from the log in ``log_folder`` into ``challenge_folder``.

    Beside the challenge's files it writes ``item_ids.parquet`` and ``user_ids.parquet`` (our id, source
    id) and ``import_log.json`` (settings and counts). Popularity, levels and tags come from training time.

    Args:
        params: Which files and columns the log has, what counts as a click, and how rows are drawn; see docs/data.md.
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
    log, items = read_log(log_folder.path, params)
    split = split_log(log, params, np.random.default_rng([params.seed, 0]))
    count = len(items.ids)
    clicks = np.bincount(split.clicked[split.early_click] - 1, minlength=count)
    views = np.bincount(log.item[split.early_event] - 1, minlength=count)
    levels = levels_of(clicks), levels_of(views)
    record = {"made_by": "import_log", "params": params.model_dump()}
    _write_record({**record, "finished": False}, challenge_folder)
    found: dict[str, Any] = write_items(items, levels, views > 0, covers, params.most_unusable_covers, challenge_folder)
    negatives = Negatives(split.clicker, split.clicked, clicks)
    found |= write_rows(log, split, negatives, levels, params, challenge_folder)
    write_sequences(log, split, count, challenge_folder)
    for kind, source in (("user", log.users), ("item", items.ids)):
        source_ids = pa.array(source if source.dtype.kind == "i" else source.tolist())
        table = pa.table({f"{kind}_id": np.arange(1, len(source) + 1), f"source_{kind}_id": source_ids})
        with atomic_write(challenge_folder.path / f"{kind}_ids.parquet") as path:
            pq.write_table(table, path, compression="zstd")
    found |= {
        "users": len(log.users),
        "interactions": len(log.user),
        "clicks": len(split.clicked),
        "repeated_clicks_left_out": split.repeats,
        "items": count,
        "items_not_in_item_table": int((~items.in_table).sum()),
        "items_not_in_log": int((~items.in_log).sum()),
        "items_not_in_training_time": int((views == 0).sum()),
        "cover_files_ignored": covers.ignored,
        "items_with_several_covers": len(covers.duplicates),
    }
    _write_record({**record, "finished": True, "found": found}, challenge_folder)
    return unknown_truth()


def _write_record(content: dict[str, Any], folder: RawFolder) -> None:
    with atomic_write(folder.path / RECORD) as path:
        path.write_text(json.dumps(content, indent=1) + "\n")
