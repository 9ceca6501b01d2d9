"""The catalog's handle on a trained CTR model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from mmctr_kedro.common.seals import check_seal, sealed_write
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.model_file import model_bytes, read_model


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
