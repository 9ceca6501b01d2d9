"""A sentence-transformers model on disk: the folder that any user of that library can load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset

from mmctr_kedro.common.params import HubModelParams
from mmctr_kedro.common.seals import check_seal, sealed_write
from mmctr_kedro.encoders.base import quiet_transformers
from mmctr_kedro.encoders.weights import refuse_unsafe

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class SentenceTransformerDataset(AbstractDataset["SentenceTransformer", "SentenceTransformer"]):
    """Load (to the CPU, without network) and save a ``SentenceTransformer``; the folder is replaced as a whole."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> SentenceTransformer:
        check_seal(self._filepath)
        if self._exists():
            refuse_unsafe(HubModelParams(model=str(self._filepath)), f"tuned_encoder, {self._filepath}")
        with quiet_transformers(offline=True):
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(
                str(self._filepath), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
            )

    def save(self, data: SentenceTransformer) -> None:
        with sealed_write(self._filepath) as temporary, quiet_transformers(offline=True):
            data.save_pretrained(str(temporary), create_model_card=False)

    def _exists(self) -> bool:
        return (self._filepath / "modules.json").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
