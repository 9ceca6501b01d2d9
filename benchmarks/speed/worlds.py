"""The data: simulated worlds in the challenge's schema, without covers, and their ``Clicks`` as memory maps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.processing.raw_files import describe
from mmctr_kedro.data.settings import ProcessingParams, SourceParams
from mmctr_kedro.datasets.arrays import ClicksDataset
from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files
from mmctr_kedro.worlds.settings import WorldParams
from mmctr_kedro.worlds.world import WORLD_VERSION, write_world

_DONE = "processed.json"


@dataclass(frozen=True)
class Tables:
    """What a model is built from and trained on."""

    train: Clicks
    valid: Clicks
    item_tags: np.ndarray
    item_embedding: np.ndarray


def provide(folder: Path, params: WorldParams) -> None:
    """Have this world's files and contracts in ``folder``; what is there already is left alone."""
    wanted = {"world_version": WORLD_VERSION, "params": params.model_dump()}
    done = folder / _DONE
    if done.exists() and json.loads(done.read_text()) == wanted:
        return
    done.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    raw = RawFolder(folder)
    write_world(params, raw)
    made = process_raw_files(ProcessingParams(), describe(SourceParams(name="challenge_files"), raw), raw)
    _, tags, embedding, train, valid, _, _ = made
    for name, clicks in (("train", train), ("valid", valid)):
        ClicksDataset(filepath=str(folder / f"clicks_{name}")).save(clicks)
    np.save(folder / "item_tags.npy", tags)
    np.save(folder / "item_embedding.npy", embedding)
    with atomic_write(done) as path:
        path.write_text(json.dumps(wanted))


def load(folder: Path) -> Tables:
    train, valid = (ClicksDataset(filepath=str(folder / f"clicks_{name}")).load() for name in ("train", "valid"))
    return Tables(train, valid, np.load(folder / "item_tags.npy"), np.load(folder / "item_embedding.npy"))


def some_rows(clicks: Clicks, start: int, stop: int) -> Clicks:
    """Some consecutive rows of a split, over the same histories."""
    rows = {
        name: getattr(clicks, name)[start:stop] for name in ("history", "item", "likes_level", "views_level", "row_id")
    }
    label = None if clicks.label is None else clicks.label[start:stop]
    histories = {name: getattr(clicks, name) for name in ("history_user", "history_offsets", "history_items")}
    return Clicks(**histories, **rows, label=label)
