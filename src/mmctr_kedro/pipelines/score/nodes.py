"""Score a table of rows, part by part."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

from mmctr_kedro.data.clicks import Clicks, own_levels
from mmctr_kedro.data.parquet import Parts
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.scoring.scorer import Scorer
from mmctr_kedro.scoring.settings import ScoreParams


def score(
    params: ScoreParams,
    leak_free_model: TrainedModel,
    item_tags: np.ndarray,
    item_embedding: np.ndarray,
    item_content: pd.DataFrame,
    clicks_train: Clicks,
    to_score: Iterable[pa.Table],
) -> Parts:
    """pCTR of every row, for as many rows as there are: only a part is in memory.

    Args:
        params: Names the input, for errors.
        leak_free_model: The model to put to use.
        item_tags, item_embedding: As it was trained with.
        item_content: Its levels are the items' own.
        clicks_train: Where levels are looked for if ``item_content`` knows none.
        to_score: Tables with ``item_seq``, a list of item ids in each row, and ``item_id``; whatever else they hold is
            passed on.

    Returns:
        The same tables without ``item_seq``, with ``pctr`` float32, in their order.
    """
    scorer = Scorer(leak_free_model, item_tags, item_embedding, own_levels(item_content, clicks_train))

    def scored() -> Iterable[pa.Table]:
        done = 0
        for table in to_score:
            pctr = scorer.score_table(table, params.input or "to_score", done)
            done += len(table)
            yield table.drop_columns("item_seq").append_column("pctr", pa.array(pctr))

    return Parts(scored)
