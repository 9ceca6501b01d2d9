"""Kedro's project settings: hooks and configuration merging."""

import os
import warnings

from mmctr_kedro.hooks import ProjectHooks
from mmctr_kedro.running.configuration import ConfigLoader
from mmctr_kedro.running.lock import RunLock
from mmctr_kedro.running.planner.recorder import Recorder

# kedro 1.7.0 registers its resolvers through a call that omegaconf 2.4 has deprecated; nothing of ours can change that.
warnings.filterwarnings("ignore", message=".*register_new_resolver.*", category=UserWarning)
# The combined report and submission read `task1.predictions` and its like from the tasks' namespaces, as they should.
warnings.filterwarnings("ignore", message="One or more dataset names contain '.' characters", category=UserWarning)

HOOKS: tuple[object, ...] = (ProjectHooks(), RunLock(), Recorder())
DISABLE_HOOKS_FOR_PLUGINS = ("kedro_mlflow",)  # where it is installed; ours are made of its own, and off by default
if os.environ.get("MMCTR_MLFLOW") == "1":
    try:
        from mmctr_kedro.tracking import MlflowHooks
    except ImportError as error:
        how = "pip install kedro-mlflow, in an environment of its own (docs/compare.md)"
        raise SystemExit(f"MMCTR_MLFLOW=1 needs {error.name}: {how}") from error
    HOOKS += (MlflowHooks(),)

CONFIG_LOADER_CLASS = ConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment overrides single keys, not whole blocks.
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
