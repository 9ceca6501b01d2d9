"""The one node of ``simulate``."""

from mmctr_kedro.worlds.world import write_world

__all__ = ["write_world"]
