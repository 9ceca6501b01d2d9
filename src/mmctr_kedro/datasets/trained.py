"""Trained models on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_datasets._typing import JSONPreview

from mmctr_kedro.datasets.previews import of_what_is_there, tree
from mmctr_kedro.datasets.sealed import SealedDataset
from mmctr_kedro.encoders.base import quiet_transformers
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.model_file import SETTINGS, model_bytes, read_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SMALL = 10_000  # bytes: settings are, vocabularies are not


class CtrModelDataset(SealedDataset[TrainedModel]):
    """A ``TrainedModel`` as one safetensors file; needs no torch."""

    def _read(self, path: Path) -> TrainedModel:
        return read_model(path.read_bytes(), path)

    def _write(self, data: TrainedModel, path: Path) -> None:
        path.write_bytes(model_bytes(data))

    @of_what_is_there
    def preview(self) -> JSONPreview:
        """Its settings, how many weights it has and their shapes; reads the file's header alone."""
        return tree(_header(self._filepath))


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

    @of_what_is_there
    def preview(self) -> JSONPreview:
        """How many weights it has and their shapes, and what the folder's small JSON files say."""
        small = [file for file in sorted(self._filepath.rglob("*.json")) if file.stat().st_size < _SMALL]
        weights = {file.name: _header(file) for file in sorted(self._filepath.rglob("*.safetensors"))}
        return tree(
            weights | {file.relative_to(self._filepath).as_posix(): json.loads(file.read_text()) for file in small}
        )


def _header(file: Path) -> dict[str, Any]:
    """What the header of a safetensors file says: settings, if any, and shapes and dtypes of the weights."""
    from safetensors import safe_open

    with safe_open(file, "np") as opened:
        shapes = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        settings = (opened.metadata() or {}).get(SETTINGS)
        return {
            "weights in all": sum(math.prod(of.get_shape()) for of in shapes.values()),
            "settings": json.loads(settings) if settings else {},
            "weights": {name: f"{of.get_shape()} {of.get_dtype()}" for name, of in shapes.items()},
        }
