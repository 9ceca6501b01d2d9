"""Settings of scoring."""

from __future__ import annotations

from pydantic import Field

from mmctr_kedro.common.params import Params


class ScoreParams(Params):
    """Rows of the user's own, scored by a trained model (pipeline ``score``)."""

    input: str | None = Field(None, description="A parquet file with item_seq and item_id; None: the test rows.")
