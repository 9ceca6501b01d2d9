"""Pretrained encoders, frozen. One encoder, one file; the tables below are the choices in ``params:embedding``.

A text encoder maps n texts to ``[n, d]`` float32. An image encoder maps pixels, ``[n, side, side, 3]`` uint8 RGB,
to ``[n, d]`` float32. The model is loaded when a table's entry is called, not before.
"""

from __future__ import annotations

from collections.abc import Callable

from mmctr_kedro.encoders.base import ImageEncoder, TextEncoder
from mmctr_kedro.encoders.efficientnet_lite0 import EfficientNetLite0
from mmctr_kedro.encoders.minilm import MiniLM
from mmctr_kedro.params import ImageEncoderParams, TextEncoderParams

TEXT_ENCODERS: dict[str, Callable[[TextEncoderParams], TextEncoder]] = {"minilm": MiniLM}
IMAGE_ENCODERS: dict[str, Callable[[ImageEncoderParams], ImageEncoder]] = {
    "efficientnet_lite0": EfficientNetLite0
}
