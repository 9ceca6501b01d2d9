"""What an item embedding is worth to the fixed DIN where levels decide: every variant, and simple changes of one.

    kedro run --pipeline embedding_variants       # the default world and its embeddings
    python -m benchmarks.embedding_worth          # what is missing of embedding_worth.json; run it again after a stop
    python -m benchmarks.embedding_worth --table  # the table of docs/embedding.md

The fixed DIN with the values of conf/base, in bf16, one seed, one thread; valid AUC on the rows as they are, and
trained and judged on rows with their own items' levels. Some 20 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from benchmarks.study import data
from benchmarks.study.plan import ROOT
from benchmarks.study.train import circumstances, write_json
from mmctr_kedro.evaluation.scorecard import told_by_ridge
from mmctr_kedro.fusion import VARIANTS
from mmctr_kedro.models.settings import FixedCtrParams
from mmctr_kedro.pipelines.ctr.nodes import train_fixed_model

RESULTS = Path(__file__).with_name("embedding_worth.json")
FILE = "04_feature/embedding/{}/item_embedding.npy"


def changed(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Simple changes of an embedding ``[N+1, D]`` by name."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return {
        "a tenth of its scale": vectors / 10,
        "at unit length": vectors / np.maximum(length, 1e-9),
        "zeros": np.zeros_like(vectors),
    }


def measure(root: Path, vectors: np.ndarray) -> dict[str, Any]:
    """Valid AUC with the leak and without, and what a linear model reads off the vectors."""
    values = yaml.safe_load((ROOT / "conf/base/parameters_ctr.yml").read_text())["task1"]["ctr"]
    params = FixedCtrParams(**values, threads=1, precision="bf16")
    found: dict[str, Any] = {}
    for name, kind in (("valid_auc", "model"), ("valid_auc_without_leak", "leak_free")):
        tables = data.load(root, FILE.format("concat_pca"), kind)
        _, history = train_fixed_model(params, tables.train, tables.valid, tables.item_tags, vectors)
        found[name] = max(entry["valid_auc"] for entry in history)
        found[name.replace("auc", "epochs")] = len(history)
    content = pd.read_parquet(root / "03_primary/item_content.parquet")
    clicks = np.bincount(tables.train.history_items, minlength=len(vectors))[1:]
    told = told_by_ridge(vectors[1:], content[["likes_level", "views_level"]].to_numpy(), clicks)
    return {**found, "told_by_ridge": told, **circumstances(1)}


def table(results: dict[str, Any]) -> str:
    """Best first."""
    lines = [
        "| embedding | valid AUC | without the leak | R2 of likes | of views | of popularity |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, of in sorted(results.items(), key=lambda item: -item[1]["valid_auc"]):
        told = [f"{of['told_by_ridge'][key] or 0:.2f}" for key in ("likes", "views", "popularity")]
        lines.append(f"| {name} | {of['valid_auc']:.3f} | {of['valid_auc_without_leak']:.3f} | {' | '.join(told)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT / "data")
    parser.add_argument("--table", action="store_true", help="train nothing, print the table")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if not options.table:
        found = {f"`{name}`": np.load(options.root / FILE.format(name)) for name in VARIANTS}
        found |= {f"`concat_pca`, {name}": vectors for name, vectors in changed(found["`concat_pca`"]).items()}
        for name, vectors in found.items():
            if name not in results:
                results[name] = measure(options.root, vectors)
                write_json(results, RESULTS)
                print(name, results[name]["valid_auc"], results[name]["valid_auc_without_leak"], flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
