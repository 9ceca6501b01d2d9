"""Rules that only the finished model, its predictions and the data it saw can show to be held.

Nothing here trusts a graph or a setting: raw files are read again, the model is built anew, and it predicts again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.params import CtrParams
from mmctr_kedro.data.challenge import EMBEDDING_WIDTH, PATHS, TAG_WIDTH, RawFolder
from mmctr_kedro.data.clicks import Clicks, digest
from mmctr_kedro.data.parquet import open_parquet, read_columns
from mmctr_kedro.models import TrainedModel, restore_model
from mmctr_kedro.submission.rules.settings import FEATURES, SPLIT
from mmctr_kedro.submission.rules.verdict import Verdict
from mmctr_kedro.submission.rules.wiring import CASCADE, GIVEN, ONE_MODEL

ROWS = 65_536  # of a raw file at a time
TOLERANCE = 1e-6  # of a pCTR predicted again on the same machine; what an average of two models is far beyond
AUC_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Artifacts:
    """What a task trained on, what came of it, and the raw files behind it."""

    model: TrainedModel
    history: list[dict[str, Any]]
    predictions: pd.DataFrame
    train: Clicks
    valid: Clicks
    test: Clicks
    item_tags: np.ndarray
    embedding: np.ndarray
    raw: RawFolder


def judge_artifacts(task: str, found: Artifacts) -> Iterator[Verdict]:
    """Rules in the order a training runs: data, features, embedding, model, selection, predictions."""
    again = f"Train again: kedro run --pipeline {task}"
    yield _split(found, again)
    yield _features(found, again)
    yield _provided(found, again) if task == "task2" else _apart(found, again)
    yield _network(task, found, again)
    yield _selection(found, again)
    yield _predictions(found, f"Predict again: kedro run --pipeline {task}")


def _split(found: Artifacts, again: str) -> Verdict:
    """The model trained on the rows of train.parquet and was selected on those of valid.parquet."""
    wrong = [
        f"{name}: the model was trained on other rows than these"
        for name, clicks in (("clicks_train", found.train), ("clicks_valid", found.valid))
        if found.model.settings.get("trained_on", {}).get(name) != clicks.digest()
    ]
    for name, clicks in (("train", found.train), ("valid", found.valid), ("test", found.test)):
        wrong += _unlike_raw(name, clicks, found.raw)
    if found.test.label is not None:
        wrong.append("clicks_test has labels")
    return Verdict(
        "The model learnt from the rows of train alone and was selected on the rows of valid alone.",
        SPLIT,
        not wrong,
        "; ".join(wrong)
        or f"its {len(found.train):,} train and {len(found.valid):,} valid rows are those of the raw files: SHA-256 of "
        "rows and histories, and item, user, levels, label and history of each row",
        again,
    )


def _unlike_raw(name: str, clicks: Clicks, raw: RawFolder) -> list[str]:
    """Where a split's rows differ from its raw file's, told by target item, user, levels, history and label or ID."""
    last = "ID" if name == "test" else "label"
    try:
        table = read_columns(raw.file(name), ["user_id", "item_id", "likes_level", "views_level", last])
    except MmctrError as error:
        return [str(error)]
    ours = {
        "user_id": clicks.user,
        "item_id": clicks.item,
        "likes_level": clicks.likes_level,
        "views_level": clicks.views_level,
        last: clicks.row_id if name == "test" else clicks.label,
    }
    if table.num_rows != len(clicks):
        return [f"{PATHS[name]} has {table.num_rows:,} rows, clicks_{name} {len(clicks):,}"]
    wrong = [
        f"clicks_{name} has another {column} than {PATHS[name]}"
        for column, values in ours.items()
        if values is None or not np.array_equal(table[column].to_numpy(), values)
    ]
    if not _newest_of_raw(clicks, raw.file(name)):
        wrong.append(f"clicks_{name} has histories that are not the newest clicks of {PATHS[name]}")
    return wrong


def _newest_of_raw(clicks: Clicks, file: Path) -> bool:
    """Whether every history is the end of its row's ``item_seq``: nothing else can have been put into it."""
    start = 0
    for batch in open_parquet(file).iter_batches(ROWS, columns=["item_seq"]):
        raw, rows = batch.column(0), slice(start, start + batch.num_rows)
        length, all_of_it = clicks.history_length[rows], pc.list_value_length(raw).to_numpy(zero_copy_only=False)
        if (length > all_of_it).any():
            return False
        within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        ours = np.repeat(clicks.history_offsets[clicks.history[rows]], length) + within
        theirs = np.repeat(np.cumsum(all_of_it) - length, length) + within
        if not np.array_equal(raw.flatten().to_numpy(zero_copy_only=False)[theirs], clicks.history_items[ours]):
            return False
        start += batch.num_rows
    return True


def _features(found: Artifacts, again: str) -> Verdict:
    """Tags are the item's own, five wide: a feature hidden in them would show."""
    tags, wrong = found.item_tags, []
    if tags.shape[1] != TAG_WIDTH:
        wrong.append(f"item_tags has {tags.shape[1]} columns, not {TAG_WIDTH}")
    else:
        published = _item_info(found.raw, "item_tags", wrong)
        ours, theirs = np.sort(tags, axis=1), np.sort(published, axis=1)
        if ours.shape != theirs.shape or (differing := np.flatnonzero((ours != theirs).any(axis=1))).size:
            first = f" for {len(differing)} items, first {differing[0]}" if ours.shape == theirs.shape else ""
            wrong.append(f"item_tags differs from {PATHS['item_info']}{first}")
    if found.model.settings.get("trained_on", {}).get("item_tags") != digest(item_tags=tags):
        wrong.append("the model was trained on other tags than these")
    return Verdict(
        "The input features are the given ones: user history, item id, tags, embedding, likes and views of the target.",
        FEATURES,
        not wrong,
        "; ".join(wrong) or f"item_tags are the {TAG_WIDTH} of {PATHS['item_info']}; Clicks has no further column",
        f"Set processing.history_levels to false. {again}",
    )


def _item_info(raw: RawFolder, column: str, wrong: list[str]) -> np.ndarray:
    """A list column of item_info.parquet in item-id order, ``[N + 1, width]``; ``[0, 0]`` where it cannot be read."""
    try:
        table = read_columns(raw.file("item_info"), ["item_id", column])
        order = np.argsort(table["item_id"].to_numpy(), kind="stable")
        values = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return values.reshape(len(order), -1)[order]
    except ValueError as error:  # of ours, or of values that do not make a table
        wrong.append(f"{PATHS['item_info']} cannot be read ({error})")
        return np.empty((0, 0))


def _provided(found: Artifacts, again: str) -> Verdict:
    """Task 2's embedding is item_info.parquet's, by content hash."""
    wrong: list[str] = []
    used = digest(embedding=np.asarray(found.embedding))
    given = digest(embedding=_item_info(found.raw, "item_emb_d128", wrong).astype(np.float32))
    if given != used:
        wrong.append(f"its SHA-256 is {used[:16]}, that of {PATHS['item_info']} {given[:16]}")
    if found.model.settings.get("trained_on", {}).get("item_embedding") != digest(item_embedding=found.embedding):
        wrong.append("the model was trained on another embedding")
    return Verdict(
        "The item embedding is the provided one.",
        GIVEN,
        not wrong,
        "; ".join(wrong)
        or f"SHA-256 {used[:16]} of {found.embedding.shape[0]:,} x {found.embedding.shape[1]} float32, in "
        "item_info.parquet and in training alike",
        f"Rebuild it: kedro run --pipeline data_processing. {again}",
    )


def _apart(found: Artifacts, again: str) -> Verdict:
    """The embedding went through training unchanged, and the model holds no weight for it."""
    wrong = []
    if found.embedding.shape[1] != EMBEDDING_WIDTH:
        wrong.append(f"the embedding is {found.embedding.shape[1]} wide, not {EMBEDDING_WIDTH}")
    if found.model.settings.get("trained_on", {}).get("item_embedding") != digest(item_embedding=found.embedding):
        wrong.append("the embedding is not the one that training was given")
    held = [
        name
        for name, weights in found.model.weights.items()
        if weights.shape == found.embedding.shape and np.array_equal(weights, found.embedding)
    ]
    wrong += [f"weight {name} is the embedding itself" for name in held]
    return Verdict(
        "Embedding and CTR model are trained apart: no gradient and no weight is shared.",
        CASCADE,
        not wrong,
        "; ".join(wrong)
        or "the embedding has the same SHA-256 before training and now; it is a frozen table of the CTR "
        f"model, whose {len(found.model.weights)} weight arrays do not hold it",
        again,
    )


def _network(task: str, found: Artifacts, again: str) -> Verdict:
    """The weights are exactly those of the one named model, built from its own layers."""
    trained, wrong = found.model, []
    name = trained.settings["ctr"]["model"]["name"]
    if trained.settings["fixed"] is not (task == "task1"):
        wrong.append("it was trained as the fixed model" if trained.settings["fixed"] else "it is not the fixed model")
    if task == "task1" and name != "din":
        wrong.append(f"it is {name}, not din")
    parameters = 0
    try:
        network = restore_model(trained, found.item_tags, found.embedding)
    except (ValueError, RuntimeError, KeyError) as error:  # torch says RuntimeError where a weight does not fit
        wrong.append(f"its weights do not fit {name}: {str(error).splitlines()[0]}")
    else:
        parameters = sum(weight.numel() for weight in network.parameters())
        homes = {type(part).__module__.split(".")[0] for part in network.modules()}
        wrong += [f"it has a part from {home}" for home in sorted(homes - {"torch", "mmctr_kedro"})]
        wrong += [f"{which} is frozen" for which, weight in network.named_parameters() if not weight.requires_grad]
    wrong += [f"weight {which} is not finite" for which, w in trained.weights.items() if not np.isfinite(w).all()]
    return Verdict(
        "One neural network predicts, trained end to end: no ensemble, no tree, no pretrained model in it.",
        ONE_MODEL + ("; Task 1: the fixed DIN" if task == "task1" else ""),
        not wrong,
        "; ".join(wrong) or f"{name}: {parameters:,} parameters, all trainable, of layers from torch.nn and models/",
        again,
    )


def _selection(found: Artifacts, again: str) -> Verdict:
    """The kept weights are those of the best valid AUC, and that AUC is the predictions' own."""
    from mmctr_kedro.evaluation.metrics import auc
    from mmctr_kedro.training.loop import best_evaluation

    best = best_evaluation(found.history)
    wrong = []
    if (found.model.settings["best_epoch"], found.model.settings["best_step"]) != (best["epoch"], best["step"]):
        wrong.append(
            f"the weights are of step {found.model.settings['best_step']}, the best valid AUC of {best['step']}"
        )
    scores = _scores(found.predictions, "valid")
    if len(scores) != len(found.valid):
        wrong.append(f"there are {len(scores):,} predictions for {len(found.valid):,} valid rows")
    elif abs((now := auc(np.asarray(found.valid.label), scores)) - best["valid_auc"]) > AUC_TOLERANCE:
        wrong.append(f"the predictions' valid AUC is {now:.6f}, the kept evaluation's {best['valid_auc']:.6f}")
    return Verdict(
        "Epoch and weights were selected by valid AUC, and by nothing else.",
        SPLIT,
        not wrong,
        "; ".join(wrong)
        or f"best of {len(found.history)} evaluations: epoch {best['epoch']}, valid AUC "
        f"{best['valid_auc']:.6f}, which the predictions have too",
        again,
    )


def _predictions(found: Artifacts, again: str) -> Verdict:
    """This one model, asked again, says the same."""
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.training.loop import predict

    params = CtrParams(**found.model.settings["ctr"])
    wrong, asked, largest = [], 0, 0.0
    try:
        with reproducible(params) as device:
            network = restore_model(found.model, found.item_tags, found.embedding).to(device)
            for split, clicks in (("valid", found.valid), ("test", found.test)):
                scores = _scores(found.predictions, split)
                if len(scores) != len(clicks):
                    wrong.append(f"{len(scores):,} predictions for {len(clicks):,} {split} rows")
                    continue
                gap = np.abs(predict(network, clicks, params) - scores)
                asked, largest = asked + len(gap), float(np.max([largest, gap.max(initial=0)]))  # NaN stays
    except (ValueError, RuntimeError, KeyError) as error:
        wrong.append(f"the model cannot predict: {str(error).splitlines()[0]}")
    if not largest <= TOLERANCE:
        wrong.append(f"of {asked:,} rows predicted again by this model one differs by {largest:.3g}")
    return Verdict(
        "The predictions are this one model's: no averaging of models or runs, no change after it.",
        ONE_MODEL,
        not wrong,
        "; ".join(wrong) or f"{asked:,} valid and test rows predicted again differ by at most {largest:.1g}",
        again,
    )


def _scores(predictions: pd.DataFrame, split: str) -> np.ndarray:
    return predictions.loc[predictions["split"] == split, "pctr"].to_numpy()
