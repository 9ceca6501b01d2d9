"""Settings of checking submissions and verifying bundles."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmctr_kedro.common.params import Params


class VerifyParams(Params):
    """A bundle put to the test (pipeline ``verify``)."""

    bundle: str = Field("", description="The bundle.zip to verify; empty: the combined one of the data root.")
    mode: Literal["quick", "full"] = Field(
        "quick",
        description="quick: the bundle's weights predict again. full: data, embedding and model are made from scratch.",
    )
    prediction_tolerance: float = Field(
        1e-4, ge=0, description="Of a pCTR on another machine or other libraries; on the same ones it must be equal."
    )
    auc_tolerance: float = Field(0.005, ge=0, description="Of the retrained valid AUC, likewise.")


class CheckSubmissionParams(Params):
    """A submission looked at from outside (pipeline ``check_submission``)."""

    file: str | None = Field(None, description="A prediction.csv or a zip; None: the combined submission below root.")
    test: str | None = Field(None, description="The test.parquet it answers; None: that of challenge_folder.")
    few_scores: int = Field(100, ge=2, description="Fewer distinct scores than this in a column earn a warning.")
