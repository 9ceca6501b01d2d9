"""The runner of ``kedro update``."""

from __future__ import annotations

import logging

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner
from pluggy import PluginManager

from mmctr_kedro.running.planner.recorder import Recorder

logger = logging.getLogger(__name__)


class UpdateRunner(SequentialRunner):
    """Runs the nodes whose results are stale, one after the other, and keeps the others' results.

    Each node is judged when all before it are done: one that was made anew with equal bytes keeps what follows.
    """

    @property
    def _logger(self) -> logging.Logger:
        return logging.getLogger(SequentialRunner.__module__)  # what Kedro says of its runners is for Kedro's log

    def _run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol,
        hook_manager: PluginManager | None = None,
        run_id: str | None = None,
    ) -> None:
        assert hook_manager is not None
        recorder = next(plugin for plugin in hook_manager.get_plugins() if isinstance(plugin, Recorder))
        planner = recorder.planner
        assert planner is not None
        before = sum(planner.recorded(node) is not None for node in pipeline.nodes)
        logger.info("%d nodes, %s run before", len(pipeline.nodes), before or "none")
        kept = 0
        for node in pipeline.nodes:
            if reasons := planner.why(node):
                recorder.reasons[node.name] = reasons  # it says so when the node begins
                super()._run(Pipeline([node]), catalog, hook_manager, run_id)
            else:
                kept += 1
        if kept:
            logger.info("%d of %d nodes are up to date and were kept", kept, len(pipeline.nodes))
