"""The state of an unfinished training in one file, so that a killed run goes on where it was.

What may go on is decided by a fingerprint: a dict of digests and settings that says which training it is. Light
to import: torch comes with the first call.
"""

from __future__ import annotations

import json
import logging
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mmctr_kedro.common.files import atomic_write
from mmctr_kedro.common.params import leaves
from mmctr_kedro.data.clicks import Clicks, digest
from mmctr_kedro.models.settings import CtrParams

if TYPE_CHECKING:
    import torch
    from torch import nn

logger = logging.getLogger(__name__)

Fingerprint = dict[str, str]  # part to its value or digest
PACKAGE = Path(__file__).parents[1]


class Checkpoints:
    """The last checkpoint of a training, or of several that make one model. The store object of a node that trains."""

    cache: ClassVar[bool] = True  # what lies there decides no result, only how soon it is there (planner)

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()  # other processes may work elsewhere

    def of(self, number: int) -> Checkpoints:
        """The checkpoint of one of several trainings; ``clear`` removes it with the others."""
        return Checkpoints(self.path.with_stem(f"{self.path.stem}-{number}"))

    def load(self, fingerprint: Fingerprint) -> dict[str, Any] | None:
        """The state to go on from; None where there is none, or only that of another training."""
        import torch

        if not self.path.is_file():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:  # what torch writes; it checks no sums when it reads
                if damaged := archive.testzip():
                    raise zipfile.BadZipFile(f"{damaged} is damaged")
            stored = torch.load(self.path, map_location="cpu", weights_only=True)
            theirs, state = stored["fingerprint"], stored["state"]
        except Exception as error:  # a broken file makes torch raise almost anything
            said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            logger.warning("%s cannot be read (%s): training starts afresh.", self.path, said)
            return None
        if differing := [part for part in {**fingerprint, **theirs} if fingerprint.get(part) != theirs.get(part)]:
            changes = [f"{part} ({theirs.get(part)}, now {fingerprint.get(part)})" for part in differing]
            logger.info("%s is of another training: %s differ. Training starts afresh.", self.path, ", ".join(changes))
            return None
        return state

    def save(self, fingerprint: Fingerprint, state: dict[str, Any]) -> None:
        """Replace the checkpoint in one step; ``state`` is tensors, numbers, strings, lists and dicts."""
        import torch

        with atomic_write(self.path) as temporary:
            torch.save({"fingerprint": fingerprint, "state": state}, temporary)

    def clear(self) -> None:
        """Remove the checkpoint: the next training starts afresh."""
        for path in self.path.parent.glob(f"{self.path.stem}*{self.path.suffix}"):
            path.unlink()


def fingerprint_of(
    model: nn.Module, train: Clicks, valid: Clicks, params: CtrParams, device: torch.device
) -> Fingerprint:
    """Which training this is: settings, data, start and machine; any difference makes it another one.

    Args:
        model: Freshly built: its weights stand for the seed, its frozen tables for the items.
    """
    from mmctr_kedro.common.machine import circumstances

    settings = params.what_is_trained()
    code = sorted(path for folder in ("models", "training") for path in (PACKAGE / folder).glob("*.py"))
    digests = {
        "clicks_train": train.digest(),
        "clicks_valid": valid.digest(),
        "item tables": digest(**{name: table.numpy(force=True) for name, table in model.named_buffers()}),
        "weights at the start": digest(**{name: part.numpy(force=True) for name, part in model.named_parameters()}),
        "code": digest(**{str(path.relative_to(PACKAGE)): np.frombuffer(path.read_bytes(), np.uint8) for path in code}),
    }
    return {
        **{key: json.dumps(value) for key, value in leaves(settings)},
        **{part: value[:16] for part, value in digests.items()},
        **circumstances(device),
    }
