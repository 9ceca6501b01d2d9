"""What an encoder is, and the small things all encoders need."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

import numpy as np


class TextEncoder(Protocol):
    """Texts to vectors."""

    width: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of n texts, in their order: ``[n, width]`` float32."""
        ...


class ImageEncoder(Protocol):
    """Pixels to vectors."""

    width: int
    side: int  # pixels; images arrive as squares of this side

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Vectors of ``[n, side, side, 3]`` uint8 RGB images, in their order: ``[n, width]`` float32."""
        ...


def threads_or_all(threads: int | None) -> int:
    """The number of threads asked for, or one per core this process may use."""
    if threads is not None:
        return threads
    # The affinity, not cpu_count: in a container the machine has more cores than we may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
