"""The organisers' own vectors, for comparison: item_info's ``item_emb_d128``, as they are."""

from __future__ import annotations

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.fusion.inputs import Fused, ItemInputs
from mmctr_kedro.fusion.settings import EmbeddingParams


def fuse(params: EmbeddingParams, inputs: ItemInputs) -> Fused:
    """``[N, 128]`` float32; another width is refused."""
    width = inputs.provided.shape[1]
    if params.width != width:
        raise MmctrError(
            f"embedding.width is {params.width}, but variant 'provided' takes item_info's vectors of {width} numbers "
            f"as they are. Set --params embedding.width={width}, or choose another variant."
        )
    vectors = np.asarray(inputs.provided, dtype=np.float32)
    return Fused(vectors, {}, np.stack([vectors, vectors]))  # neither modality is read
