"""The embeddings that the study compares: built once, judged by the scorecard, kept until what made them changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study import data
from benchmarks.study.plan import EMBEDDINGS, ROOT, Choices, digest, meaning_digest
from benchmarks.study.train import write_json
from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.common.params import EmbeddingParams
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.datasets.arrays import load_array
from mmctr_kedro.evaluation import scorecard
from mmctr_kedro.pipelines.embedding import nodes

PROVIDED = "03_primary/provided_item_embedding.npy"
PACKAGE = ROOT / "src" / "mmctr_kedro"

Card = dict[str, Any]


def build(choices: Choices, root: Path, say: Callable[[str], None]) -> list[Card]:
    """Every embedding of the study below ``root``, those that are missing or made otherwise now.

    Returns:
        Per embedding: ``embedding`` (its name), ``fusion`` (how it went), ``scorecard``, ``seconds`` of making it and
        ``judge_seconds``.
    """
    assert choices.embeddings is not None
    code = meaning_digest([*sorted((PACKAGE / "fusion").glob("*.py")), Path(scorecard.__file__)])
    given = data.data_digest(root, PROVIDED, *data.ENCODED)
    cards = []
    for name in choices.embeddings.names():
        variant, _, modality = name.partition(".")
        params = EmbeddingParams(variant=variant, modalities=modality or "both")
        key = digest([params.model_dump(mode="json", exclude={"text", "image"}, exclude_defaults=True), code, given])
        file, about = root / EMBEDDINGS / f"{name}.npy", root / EMBEDDINGS / f"{name}.json"
        card = json.loads(about.read_text()) if about.is_file() and file.is_file() else {}
        if card.get("key") != key:
            say(f"{root.name}: building the embedding {name}")
            card = {"embedding": name, "key": key, **_make(params, root, file)}
            write_json(card, about)
        cards.append({field: value for field, value in card.items() if field != "key"})
    return cards


def _make(params: EmbeddingParams, root: Path, file: Path) -> Card:
    tables = data.load(root, PROVIDED)
    text, image = (load_array(root / encoded) for encoded in data.ENCODED)
    begin = time.perf_counter()
    embedding, alone, fusion = nodes.fuse(
        params, text, image, tables.item_embedding, tables.train, RawFolder(root / "01_raw" / "challenge")
    )
    made = time.perf_counter()
    content = pd.read_parquet(root / "03_primary/item_content.parquet")
    levels = content[["likes_level", "views_level"]].to_numpy()
    card = scorecard.judge(embedding, tables.item_tags, levels, tables.train, tables.valid)
    if params.modalities == "both":
        card["modalities"] = scorecard.of_each_modality(embedding, alone, tables.train, tables.valid)
    judged = time.perf_counter()
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as path, path.open("wb") as stream:
        np.save(stream, embedding)
    return {
        "fusion": fusion,
        "scorecard": card,
        "seconds": round(made - begin, 1),
        "judge_seconds": round(judged - made, 1),
    }
