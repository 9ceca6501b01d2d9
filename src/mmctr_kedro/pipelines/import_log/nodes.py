"""The one node of ``import_log``."""

from __future__ import annotations

import pandas as pd

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.settings import InteractionLogParams


def import_log(params: InteractionLogParams, log_folder: RawFolder, challenge_folder: RawFolder) -> pd.DataFrame:
    """Write every challenge file from the log in ``log_folder`` into ``challenge_folder``; returns the truth, empty."""
    from mmctr_kedro.data.importing.log import import_interaction_log

    return import_interaction_log(params, log_folder, challenge_folder)
