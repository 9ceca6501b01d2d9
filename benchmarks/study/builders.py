"""Models that the study trains and the package does not have, by the name that study.yml calls them ``builder``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.code_match import CodeMatch
from mmctr_kedro.models.layers import CtrModel

BUILDERS: dict[str, Callable[[Any, np.ndarray, np.ndarray, int], CtrModel]] = {"code_match": CodeMatch}
