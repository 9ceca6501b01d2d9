"""The one node of ``simulate``."""

from __future__ import annotations

import pandas as pd

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.worlds import world
from mmctr_kedro.worlds.settings import WorldParams


def write_world(params: WorldParams, folder: RawFolder) -> pd.DataFrame:
    """Write a simulated data set into ``folder`` and return the truth; see ``world.write_world``."""
    return world.write_world(params, folder)
