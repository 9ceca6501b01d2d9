"""Trained models on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kedro.datasets.sealed import SealedDataset
from mmctr_kedro.encoders.base import quiet_transformers
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.model_file import model_bytes, read_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class CtrModelDataset(SealedDataset[TrainedModel]):
    """A ``TrainedModel`` as one safetensors file; needs no torch."""

    def _read(self, path: Path) -> TrainedModel:
        return read_model(path.read_bytes(), path)

    def _write(self, data: TrainedModel, path: Path) -> None:
        path.write_bytes(model_bytes(data))


class SentenceTransformerDataset(SealedDataset["SentenceTransformer"]):
    """A folder that any user of sentence-transformers can load; here to the CPU, without network and pickles."""

    def _read(self, path: Path) -> SentenceTransformer:
        with quiet_transformers():
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(
                str(path), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
            )

    def _write(self, data: SentenceTransformer, path: Path) -> None:
        with quiet_transformers():
            data.save_pretrained(str(path), create_model_card=False)
