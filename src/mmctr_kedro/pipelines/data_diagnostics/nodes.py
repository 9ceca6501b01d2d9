"""The one node of ``data_diagnostics``."""

from mmctr_kedro.diagnosis.diagnose import diagnose

__all__ = ["diagnose"]
