"""Settings of the service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmctr_kedro.common.params import Params


class ServeParams(Params):
    """A service that scores candidates (``kedro serve``)."""

    task: Literal["task1", "task2", "task1_and_2"] = Field("task2", description="Whose leak_free_model answers.")
    host: str = Field("127.0.0.1", description="Address to bind; this one is reached from this machine alone.")
    port: int = Field(8000, ge=0, le=65535, description="0: any free one, which the log names.")
    seconds: float = Field(5.0, gt=0, description="Time for a request, waiting included; then it is answered by 503.")
    waiting: int = Field(32, ge=1, description="Requests at the model or waiting for it; one more is answered by 503.")
    max_body: int = Field(1 << 18, ge=1, description="Bytes of a request.")
    max_candidates: int = Field(10_000, ge=1, description="Candidates that a request may list.")
    max_clicks: int = Field(1_000, ge=1, description="Clicks that a request may list; the model reads its newest.")
    poll_seconds: float = Field(5.0, gt=0, description="How often the run's files are looked at for a newer model.")
