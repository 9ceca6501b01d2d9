"""What fusions are given, and what they give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from mmctr_kedro.data.clicks import Clicks

MODALITIES = ("text", "image")  # their order wherever each stands alone


@dataclass(frozen=True)
class ItemInputs:
    """All that may decide an item's vector; row i of each array belongs to item i + 1 of N."""

    text: np.ndarray  # [N, d] float32, from the text encoder; an item without words has the mean of the others
    image: np.ndarray  # [N, d] float32, from the image encoder; one without a usable cover has the mean
    provided: np.ndarray  # [N, 128] float32, the organisers' vectors
    train: Clicks  # histories and clicks to learn from; by default of train users, and of nobody else

    def only(self, modality: str) -> ItemInputs:
        """The same with ``text`` or ``image`` alone; the other modality is all zeros, which tells nothing."""
        other = "image" if modality == "text" else "text"
        return replace(self, **{other: np.zeros_like(getattr(self, other))})


class Fused(NamedTuple):
    """What a fusion made."""

    vectors: np.ndarray  # [N, width] float32
    report: dict[str, Any]  # how it went, plain JSON
    alone: np.ndarray | None = None  # [2, N, width] float32: of text alone and of covers alone; None: fuse those anew
