"""From the encoders' vectors to one embedding per item: a fusion, with the padding row that tables by item id have."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.fusion import ItemInputs, fuse
from mmctr_kedro.fusion.histories import with_published
from mmctr_kedro.fusion.settings import EmbeddingParams


def fuse_items(
    text_vectors: np.ndarray,
    image_vectors: np.ndarray,
    provided: np.ndarray,
    clicks_train: Clicks,
    params: EmbeddingParams | None = None,
    *,
    variant: str | None = None,
    folder: RawFolder | None = None,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """The item embedding of a variant.

    Args:
        text_vectors: ``[N+1, d]`` float32; row i is item i's, row 0 is not read.
        image_vectors: The same, with a width of its own.
        provided: ``[N+1, 128]`` float32, the organisers' vectors; read by variant ``provided`` alone.
        clicks_train: What a variant may learn from; none reads the rows of valid or test.
        params: How to fuse; None: ``EmbeddingParams()``, PCA of both to 128 numbers.
        variant: One of ``fusion.VARIANTS``; None: that of ``params``.
        folder: Its item_seq is read where ``params.histories`` widens what is learnt from to all published histories.

    Returns:
        embedding: ``[N+1, width]`` float32, row 0 zeros, entries of mean square 1 but in ``provided``.
        alone: ``[2, N+1, width]`` float32, the same of text alone and of covers alone.
        report: Plain JSON, how the fusion went: epochs of a tower, reconstruction of codes.

    Source: each file of ``fusion`` names its own.
    """
    assert len(text_vectors) == len(image_vectors), "both encoders number the same items"
    params = params or EmbeddingParams()
    if params.histories == "published":
        if folder is None:
            raise MmctrError("histories is 'published': give the folder that has item_seq.parquet.")
        clicks_train = with_published(clicks_train, folder)
    inputs = ItemInputs(text_vectors[1:], image_vectors[1:], provided[1:], clicks_train)
    fused = fuse(params, inputs, variant)
    assert fused.alone is not None
    embedding, *alone = (np.pad(vectors, ((1, 0), (0, 0))) for vectors in (fused.vectors, *fused.alone))
    report = {"modalities": params.modalities, "histories": params.histories, **fused.report}
    return embedding, np.stack(alone), report
