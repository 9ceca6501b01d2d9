"""A trained CTR model as bytes: safetensors, its settings as JSON in the header. Needs no torch."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.models import TrainedModel

SETTINGS = "settings"  # key of the header's metadata


def save_model(model: TrainedModel, file: Path | str) -> None:
    """Write a trained model as one safetensors file, whole or not at all, as ``{task}.ctr_model`` of a run is."""
    with atomic_write(Path(file)) as temporary:
        temporary.write_bytes(model_bytes(model))


def load_model(file: Path | str, member: str | None = None) -> TrainedModel:
    """The trained model in a file of ``save_model``, of a run, or of a bundle.

    Args:
        file: Such as ``06_models/task2/leak_free_model.safetensors``, or a bundle's zip.
        member: Which file of the zip, such as ``task2/leak_free_model.safetensors``.

    Raises:
        MmctrError: It is no such file, or the zip has no such member.
    """
    if member is None:
        return read_model(Path(file).read_bytes(), file)
    with zipfile.ZipFile(file) as bundle:
        if member not in (names := bundle.namelist()):
            models = [name for name in names if name.endswith(".safetensors")]
            raise MmctrError(f"{file} has no {member}; it has {', '.join(models) or 'no model'}.")
        return read_model(bundle.read(member), f"{file}: {member}")


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
