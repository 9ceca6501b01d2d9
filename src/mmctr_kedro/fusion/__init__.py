"""Ways to make one vector of several. One fusion, one file; the table is the choice ``embedding.variant``.

A fusion maps N items' vectors, one ``[N, d]`` array per modality, to ``[N, width]`` float32, rows alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mmctr_kedro.fusion.concat_pca import concat_pca

FUSIONS: dict[str, Callable[[Sequence[np.ndarray], int], np.ndarray]] = {"concat_pca": concat_pca}
