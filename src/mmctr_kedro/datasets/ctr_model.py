"""A trained CTR model on disk: one safetensors file, its settings as JSON in the header."""

from __future__ import annotations

import json
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
        from safetensors import SafetensorError, safe_open

        check_seal(self._filepath)
        try:
            with safe_open(self._filepath, framework="numpy") as file:
                header = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return TrainedModel(settings=json.loads(header[SETTINGS]), weights=weights)
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise MmctrError(
                f"{self._filepath} is not a CTR model of this project ({error}). "
                f"Train it again: kedro run --pipeline {self._filepath.parent.name}"
            ) from error

    def save(self, data: TrainedModel) -> None:
        from safetensors.numpy import save_file

        header = {SETTINGS: json.dumps(data.settings, sort_keys=True, allow_nan=False)}
        with sealed_write(self._filepath) as temporary:
            save_file(data.weights, temporary, metadata=header)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
