"""Every kind of artifact there is, in two versions that differ in every file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mmctr_kedro.common.seals import sealed_digests
from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.arrow import ArrowTableDataset
from mmctr_kedro.datasets.atomic import JSONDataset, ParquetDataset, PlotlyDataset, TextDataset
from mmctr_kedro.datasets.bundle import BundleDataset
from mmctr_kedro.datasets.clicks import ClicksDataset
from mmctr_kedro.datasets.ctr_model import CtrModelDataset
from mmctr_kedro.datasets.npy import NpyDataset
from mmctr_kedro.datasets.submission_zip import SubmissionZipDataset
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.submission.bundling import Bundle
from mmctr_kedro.training.checkpoints import Checkpoints

ROWS = 20_000


@dataclass(frozen=True)
class Kind:
    """One kind of artifact.

    Attributes:
        name: The file or folder it is.
        save: Write version 0 or 1 to a path.
        load: Read what is at a path, whichever version; raises on anything else.
        opens: Whether its writer opens the very name it is given, and says why where it cannot write there.
    """

    name: str
    save: Callable[[Path, int], Any]
    load: Callable[[Path], Any]
    opens: bool = True

    def digests(self, root: Path) -> dict[str, str]:
        """Load it, and tell the SHA-256 of its files."""
        self.load(root / self.name)
        return sealed_digests(root / self.name)


def kinds(heavy: bool = True) -> list[Kind]:
    """All kinds; without the heavy ones no torch is imported."""
    light = [
        _kind("array.npy", NpyDataset, _numbers),
        _kind("clicks", ClicksDataset, _clicks, opens=False),
        _kind("ctr_model.safetensors", CtrModelDataset, _model, opens=False),
        _kind("item_info.parquet", ArrowTableDataset, lambda version: pa.table({"item_id": _numbers(version)})),
        _kind("predictions.parquet", ParquetDataset, _table),
        _kind("metrics.json", JSONDataset, lambda version: {"auc": _numbers(version)[:2000].tolist()}),
        _kind("report.html", TextDataset, lambda version: f"<p>{version}</p>" * ROWS),
        _kind("figure.json", PlotlyDataset, _figure),
        _kind("submission.zip", SubmissionZipDataset, _submission),
        _kind("bundle.zip", BundleDataset, _bundle),
    ]
    return [*light, _encoder(), _checkpoint()] if heavy else light


def _kind(name: str, dataset: Any, content: Callable[[int], Any], opens: bool = True) -> Kind:
    made = [content(version) for version in (0, 1)]
    return Kind(
        name,
        lambda path, version: dataset(filepath=str(path)).save(made[version]),
        lambda path: dataset(filepath=str(path)).load(),
        opens,
    )


def _numbers(version: int) -> np.ndarray:
    return np.random.default_rng(version).random(ROWS)


def _table(version: int) -> pd.DataFrame:
    return pd.DataFrame({"row_id": np.arange(ROWS), "pctr": _numbers(version).astype(np.float32)})


def _submission(version: int) -> Submission:
    """Version 1 is marked: a member more."""
    table = pd.DataFrame({"ID": np.arange(ROWS), "Task1": _numbers(version).astype(np.float32)})
    return Submission(table, ("not for sending in",) * version)


def _bundle(version: int) -> Bundle:
    weights = _numbers(version).tobytes()
    return Bundle({"files": {"weights": hashlib.sha256(weights).hexdigest()}}, {"weights": weights})


def _clicks(version: int) -> Clicks:
    """Version 1 has no labels: a file fewer."""
    rng = np.random.default_rng(version)
    rows = {"history": np.int32, "item": np.int32, "likes_level": np.int8, "views_level": np.int8, "row_id": np.int64}
    return Clicks(
        history_user=rng.integers(0, 9, 100, np.int32),
        history_offsets=np.cumsum(rng.integers(1, 9, 101)),
        history_items=rng.integers(0, 99, 900, np.int32),
        label=None if version else np.ones(ROWS, np.int8),
        **{name: rng.integers(0, 99, ROWS).astype(kind) for name, kind in rows.items()},
    )


def _model(version: int) -> TrainedModel:
    return TrainedModel(settings={"seed": version}, weights={"weight": _numbers(version).astype(np.float32)})


def _figure(version: int) -> Any:
    from plotly import graph_objects

    return graph_objects.Figure(graph_objects.Scatter(y=_numbers(version)[:2000]))


def _encoder() -> Kind:
    """A folder with a folder in it: a sentence-transformers model of 500 words."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    from mmctr_kedro.datasets.sentence_transformer import SentenceTransformerDataset

    def model(version: int) -> SentenceTransformer:
        tokenizer = Tokenizer(WordLevel({f"word{version}{place}": place for place in range(500)}, unk_token=None))
        weights = _numbers(version)[:8000].reshape(500, 16).astype(np.float32)
        return SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")

    return _kind("tuned_encoder", SentenceTransformerDataset, model, opens=False)


def _checkpoint() -> Kind:
    import torch

    def load(path: Path) -> Any:
        found = [Checkpoints(path).load({"version": version}) for version in ("0", "1")]
        assert any(found), f"{path} is no checkpoint"
        return found

    return Kind(
        "checkpoint.pt",
        lambda path, version: Checkpoints(path).save(
            {"version": str(version)}, {"weights": torch.from_numpy(_numbers(version))}
        ),
        load,
        opens=False,
    )
