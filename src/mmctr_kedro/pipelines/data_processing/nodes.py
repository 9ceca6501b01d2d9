"""Raw challenge files in; the contracts that every other pipeline reads out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.challenge import RawFolder, unknown_truth
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.settings import InteractionLogParams, ProcessingParams, SourceParams
from mmctr_kedro.worlds.settings import WorldParams


def prepare_raw_files(
    source: SourceParams,
    simulate: WorldParams,
    import_log: InteractionLogParams,
    challenge_folder: RawFolder,
    log_folder: RawFolder,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Have the challenge's files in ``challenge_folder``, whatever their source.

    Returns:
        raw_files: Source, world version, and path, bytes, rows and SHA-256 of every file; of the covers together.
        truth: ``split``, ``row_id``, ``posterior`` of every valid and test row; no rows where nobody knows.
    """
    from mmctr_kedro.data.processing.raw_files import describe

    if source.name == "simulated":
        from mmctr_kedro.worlds.world import write_world

        truth = write_world(simulate, challenge_folder)
    elif source.name == "interaction_log":
        from mmctr_kedro.data.importing.log import import_interaction_log

        truth = import_interaction_log(import_log, log_folder, challenge_folder)
    else:
        truth = unknown_truth()
    return describe(source, challenge_folder), truth


def process_raw_files(
    processing: ProcessingParams, raw_files: dict[str, Any], challenge_folder: RawFolder
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, Clicks, Clicks, Clicks, dict[str, Any]]:
    """Validate every raw file and make the contracts from it: ``ChallengeData``, whose report ends with ``raw_files``.

    One node, so that the problems of all files are reported together.

    Raises:
        InvalidDataError: Files that are not those of ``raw_files`` any more, or everything that is wrong in any.
    """
    from mmctr_kedro.data.processing.raw_files import refuse_changed
    from mmctr_kedro.data.processing.read_challenge import read_challenge

    refuse_changed(raw_files, challenge_folder)
    data = read_challenge(challenge_folder, processing, names=list(raw_files["files"]))
    return data._replace(report=data.report | {"raw_files": raw_files})
