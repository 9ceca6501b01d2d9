"""A trained CTR model on disk: one safetensors file, its settings as JSON in the header."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from mmctr_kedro.errors import MmctrError
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.seals import check_seal, sealed_write

SETTINGS = "settings"  # key of the header's metadata


class CtrModelDataset(AbstractDataset[TrainedModel, TrainedModel]):
    """Load and save a ``TrainedModel``, sealed; needs no torch."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> TrainedModel:
        check_seal(self._filepath)
        return read_model(self._filepath.read_bytes(), self._filepath)

    def save(self, data: TrainedModel) -> None:
        content = model_bytes(data)
        with sealed_write(self._filepath) as temporary:
            temporary.write_bytes(content)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def model_bytes(model: TrainedModel) -> bytes:
    """The file's bytes, equal for equal models."""
    from safetensors.numpy import save

    return save(model.weights, metadata={SETTINGS: json.dumps(model.settings, sort_keys=True, allow_nan=False)})


def read_model(content: bytes, name: Path | str) -> TrainedModel:
    """A model from its file's bytes; ``name`` is for the error."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + length].decode()).get("__metadata__", {})
        return TrainedModel(settings=json.loads(header[SETTINGS]), weights=load(content))
    except (SafetensorError, struct.error, AttributeError, KeyError, ValueError) as error:
        raise MmctrError(
            f"{name} is not a CTR model of this project ({type(error).__name__}: {error}). "
            f"Train it again: kedro run --pipeline {Path(name).parent.name}"
        ) from error
