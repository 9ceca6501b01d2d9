"""Early stopping of what is taught by clicks: towers and encoders. Imports torch: import it where that is at hand."""

from __future__ import annotations

import logging
import math

import torch
from torch import nn

from mmctr_kedro.common.errors import MmctrError

logger = logging.getLogger(__name__)


class BestEpoch:
    """The trained weights of the epoch of smallest loss on held-out users, 0 being none at all, and when to stop."""

    def __init__(self, module: nn.Module, epochs: int, patience: int, block: str) -> None:
        """Stop after ``epochs``, or ``patience`` of them without a gain.

        ``block`` of the settings is named in errors, its last word in log lines.
        """
        self._trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._weights = [parameter.detach().clone() for parameter in self._trained]
        self._most, self._patience, self._block = epochs, patience, block
        self.loss, self.epochs, self.best_epoch = math.inf, 0, 0

    @property
    def is_over(self) -> bool:
        return self.epochs >= self._most or self.epochs - self.best_epoch >= self._patience

    def add(self, train_loss: float, held_out_loss: float) -> None:
        """Take in the losses of one more epoch, and say them."""
        name = self._block.rpartition(".")[2]
        self.epochs += 1
        if not math.isfinite(held_out_loss):
            raise MmctrError(
                f"{name}: the loss on held-out users became {held_out_loss} in epoch {self.epochs}. Lower "
                f"{self._block}.learning_rate or raise {self._block}.temperature."
            )
        if held_out_loss < self.loss:
            self.loss, self.best_epoch = held_out_loss, self.epochs
            self._weights = [parameter.detach().clone() for parameter in self._trained]
        idle = self.epochs - self.best_epoch
        gain = f"; no gain, {idle} of {self._patience} before stopping" if idle else ""
        losses = f"loss {train_loss:.4f}, on held-out users {held_out_loss:.4f}"
        logger.info("%s epoch %d/%d: %s%s", name, self.epochs, self._most, losses, gain)

    def restore(self) -> None:
        """Put the best weights back."""
        with torch.no_grad():
            for parameter, best in zip(self._trained, self._weights, strict=True):
                parameter.copy_(best)
