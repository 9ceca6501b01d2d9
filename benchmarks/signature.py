"""Whether the world ``challenge`` behaves as the real data must: curves of known networks beside the published ones.

    python -m benchmarks.signature            # what is missing of benchmarks/signature.json; run it again after a stop
    python -m benchmarks.signature --table    # the table of docs/world.md

One seed, 10,000 items and 400,000 train rows (the real rows per item); batches such that an epoch has as many steps as
the published one where that can be paid for. Some 50 minutes on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.plain_networks import Plain
from benchmarks.study.train import circumstances, write_json
from mmctr_kedro.common.machine import reproducible
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.processing.raw_files import describe
from mmctr_kedro.data.settings import ProcessingParams, SourceParams
from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.models import build_model
from mmctr_kedro.models.layers import CtrModel
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files
from mmctr_kedro.training.loop import fit, predict
from mmctr_kedro.worlds.settings import WorldParams
from mmctr_kedro.worlds.world import write_world

RESULTS = Path(__file__).with_name("signature.json")
WORLD = WorldParams(law="challenge", items=10_000, train_rows=400_000, valid_rows=10_000, test_rows=8, covers=False)
TRAIN_ROWS_JUDGED = 40_000
STEPS_OF_8192 = 910  # batch with which 400,000 rows take as many steps as 3.6 million in batches of 8,192
DIN = {"batch_size": STEPS_OF_8192, "precision": "bf16", "rate_decay": 0.1, "rate_patience": 1, "patience": 3}
PLAIN = {"batch_size": 256, "epochs": 8, "patience": 8, "schedule": "constant", "learning_rate": 1e-3}
TRANSFORMER = {"model": {"name": "transformer_dcn", "width": 16, "last": 4}, "batch_size": 512, "precision": "bf16"}

# name: (settings, what the published one did; sources in docs/world.md)
ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "fixed DIN, organisers' values": (
        {**DIN, "epochs": 6, "embedding_regularizer": 1e-6},
        "0.797 (with another embedding), ends at 0.8655; 0.875 at epoch 10",
    ),
    "fixed DIN, net_regularizer 0.01": (
        {
            **DIN,
            "epochs": 8,
            "model": {"name": "din", "net_dropout": 0.5},
            "embedding_regularizer": 1e-7,
            "net_regularizer": 0.01,
        },
        "ends at 0.9550, logloss 0.286",
    ),
    "fixed DIN, net_regularizer 0.1": (
        {**DIN, "epochs": 8, "embedding_regularizer": 1e-6, "net_regularizer": 0.1},
        "ends at 0.9527",
    ),
    "plain network": (PLAIN, "0.582 or 0.609, creeping to 0.906 at epoch 26 and 0.815 at 30; logloss 2.3 to 1.0"),
    "plain network, log(1 + train rows of the target) seen": (PLAIN, "0.9135, then 0.915, 0.893, 0.901, 0.878"),
    "QIN": (
        {"model": {"name": "qin", "width": 32}, "batch_size": STEPS_OF_8192, "epochs": 6},
        "0.895, 0.9701 at epoch 33; logloss 0.34",
    ),
    "Transformer + DCN, published mask": (
        {**TRANSFORMER, "model": {**TRANSFORMER["model"], "published_mask": True}, "epochs": 1},
        "0.843, 0.866, 0.851, 0.891, 0.892 run by others; 0.9766 by its authors",
    ),
    "Transformer + DCN, corrected mask": ({**TRANSFORMER, "epochs": 1}, "0.582, 0.636, 0.640, ... 0.906 at epoch 26"),
    "plain network without levels, random split of train": (PLAIN | {"epochs": 3}, "0.958-0.974"),
}


def measure(name: str, made: tuple) -> dict[str, Any]:
    """Train one row of the table; its curve."""
    _, tags, embedding, train, valid, _, _ = made
    params = CtrParams(**{"seed": 1, "threads": 1, **ROWS[name][0]})
    if "random split" in name:
        drawn = np.random.default_rng(1).permutation(len(train))
        train, valid = rows_of(train, drawn[: -len(valid)]), rows_of(train, drawn[-len(valid) :])
    with reproducible(params) as device:
        model = _build(name, params, tags, embedding, train)
        history = fit(model, train, valid, params, device, name)
        seen = rows_of(train, np.random.default_rng(2).permutation(len(train))[:TRAIN_ROWS_JUDGED])
        train_auc = auc(seen.label, predict(model, seen, params))
    best = max(history, key=lambda entry: entry["valid_auc"])
    return {
        "settings": params.model_dump(mode="json"),
        "valid_auc": [entry["valid_auc"] for entry in history],
        "valid_logloss": [entry["valid_logloss"] for entry in history],
        "train_loss": [entry["train_loss"] for entry in history],
        "best_epoch": best["epoch"],
        "train_auc": train_auc,
        "cpu_seconds": round(sum(entry["cpu_seconds"] for entry in history)),
        **circumstances(1),
    }


def _build(name: str, params: CtrParams, tags: np.ndarray, embedding: np.ndarray, train: Clicks) -> CtrModel:
    if not name.startswith("plain"):
        return build_model(params, tags, embedding)
    record = np.log1p(np.bincount(train.item, minlength=len(embedding))).astype(np.float32)
    return Plain(tags, embedding, record if "train rows" in name else None, levels="without levels" not in name)


def rows_of(clicks: Clicks, rows: np.ndarray) -> Clicks:
    """Some rows of a split, over the same histories."""
    by_row = ("history", "item", "likes_level", "views_level", "row_id", "label")
    return dataclasses.replace(clicks, **{name: getattr(clicks, name)[rows] for name in by_row})


def table(results: dict[str, Any]) -> str:
    """The table of docs/world.md."""
    lines = [
        "| network | valid AUC by epoch | best | train AUC | valid logloss, first and best | published valid AUC |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, (_, published) in ROWS.items():
        if (of := results.get(name)) is None:
            continue
        curve = ", ".join(f"{value:.3f}" for value in of["valid_auc"])
        best = of["best_epoch"] - 1
        losses = f"{of['valid_logloss'][0]:.2f}, {of['valid_logloss'][best]:.2f}"
        lines.append(
            f"| {name} | {curve} | {max(of['valid_auc']):.3f} | {of['train_auc']:.3f} | {losses} | {published} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="train nothing, print the table")
    parser.add_argument("--only", default="", metavar="WORDS", help="train only networks with these words in the name")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if not options.table:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
        with tempfile.TemporaryDirectory() as place:
            folder = RawFolder(Path(place))
            truth = write_world(WORLD, folder)
            made = process_raw_files(ProcessingParams(), describe(SourceParams(), folder), folder)
        known = truth[truth["split"] == "valid"]
        label = made[4].label
        results["ceilings"] = {name: auc(label, known[name].to_numpy()) for name in known.filter(like="posterior")}
        results["world"] = WORLD.model_dump(mode="json")
        for name in ROWS:
            if name not in results and options.only in name:
                results[name] = measure(name, made)
                write_json(results, RESULTS)
    print(table(results))


if __name__ == "__main__":
    main()
