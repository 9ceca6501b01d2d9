"""The simulated world: items, users, clicks and covers as a challenge data set. See docs/world.md."""

from mmctr_kedro.worlds.world import WORLD_VERSION, write_world

__all__ = ["WORLD_VERSION", "write_world"]
