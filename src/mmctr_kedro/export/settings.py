"""Settings of the export."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmctr_kedro.common.params import Params


class ExportParams(Params):
    """A trained model as files for other programs (pipeline ``export``)."""

    variants: tuple[Literal["int8", "fp16"], ...] = Field(
        ("int8", "fp16"), description="Smaller ONNX files beside the exact one, each measured against it."
    )
