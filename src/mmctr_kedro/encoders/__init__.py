"""Pretrained encoders, frozen. One encoder, one file; the tables are the choices in ``params:embedding``.

A text encoder maps n texts to ``[n, width]`` float32. An image encoder maps pixels, uint8 RGB
``[n, side, side, 3]``, to the same; one that reads text takes the texts of the same items beside them. The model is
loaded when a table's entry is called, not before.
"""

from __future__ import annotations

from mmctr_kedro.encoders.base import ImageEncoder, TextEncoder
from mmctr_kedro.encoders.efficientnet_lite0 import EfficientNetLite0
from mmctr_kedro.encoders.minilm import MiniLM
from mmctr_kedro.encoders.sentence_transformer import SentenceTransformerImage, SentenceTransformerText
from mmctr_kedro.encoders.vision_language import VisionLanguage

TEXT_ENCODERS: dict[str, type[TextEncoder]] = {
    "minilm": MiniLM,
    "sentence_transformer": SentenceTransformerText,
}
IMAGE_ENCODERS: dict[str, type[ImageEncoder]] = {
    "efficientnet_lite0": EfficientNetLite0,
    "sentence_transformer": SentenceTransformerImage,
    "vision_language": VisionLanguage,
}
