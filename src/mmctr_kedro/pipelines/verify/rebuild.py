"""A run from its settings alone: data, embedding, model, with no cache and no file of an earlier run."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.common.params import SETTINGS, Params
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.encoders.store import VectorStore
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.pipelines.ctr.nodes import train_fixed_model, train_model
from mmctr_kedro.pipelines.data_processing.nodes import prepare_raw_files, process_raw_files
from mmctr_kedro.pipelines.embedding.nodes import encode_covers, encode_titles, fuse

Settings = dict[str, Any]  # a Params per block


@dataclass(frozen=True)
class Data:
    """The contracts of data_processing."""

    raw_files: dict[str, Any]
    folder: RawFolder
    item_content: pd.DataFrame
    item_tags: np.ndarray
    provided: np.ndarray
    train: Clicks
    valid: Clicks
    test: Clicks


def settings_of(manifest: dict[str, Any]) -> dict[str, Params]:
    """A manifest's settings, checked."""
    return {
        name: SETTINGS[name].model_validate(block) for name, block in manifest["settings"].items() if name in SETTINGS
    }


def rebuild_data(
    settings: Settings, verify_folder: RawFolder, challenge_folder: RawFolder, log_folder: RawFolder
) -> Data:
    """The bundle's raw files anew, below ``verify_folder`` unless they are the challenge's own, and the contracts."""
    shutil.rmtree(verify_folder.path, ignore_errors=True)
    given = settings["source"].name == "challenge_files"
    folder = challenge_folder if given else RawFolder(verify_folder.path / "challenge")
    raw_files, _ = prepare_raw_files(
        settings["source"], settings["simulate"], settings["import_log"], folder, log_folder
    )
    content, tags, provided, train, valid, test, _ = process_raw_files(settings["processing"], raw_files, folder)
    return Data(raw_files, folder, content, tags, provided, train, valid, test)


def rebuild_embedding(settings: Settings, data: Data, verify_folder: RawFolder) -> np.ndarray:
    """The item embedding from titles and covers, encoded anew."""
    params, store = settings["embedding"], VectorStore(verify_folder.path / "encoded")
    text, _ = encode_titles(params, data.item_content, data.folder, store)
    image, _ = encode_covers(params, data.item_content, Covers.find(data.folder.path), data.folder, store)
    embedding, _, _ = fuse(params, text, image, data.provided, data.train, data.folder)
    return embedding


def train(
    task: str, settings: Settings, data: Data, embedding: np.ndarray
) -> tuple[TrainedModel, list[dict[str, Any]]]:
    """The task's model, from its seed."""
    fit = train_fixed_model if task == "task1" else train_model
    return fit(settings[f"{task}.ctr"], data.train, data.valid, data.item_tags, embedding)
