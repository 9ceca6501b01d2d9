"""Records what every node made its results from, in every run: ``kedro run`` and ``kedro update`` alike.

And the runner of ``kedro update``, which asks what was recorded.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner
from pluggy import PluginManager

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.running.configuration import data_root
from mmctr_kedro.running.planner.plan import FOLDER, NEW, Planner, State, in_words
from mmctr_kedro.running.planner.sources import Sources
from mmctr_kedro.running.project import Project

logger = logging.getLogger(__name__)


class Recorder:
    """Kedro hooks. Made when the process begins, because the sources count as they are then.

    Attributes:
        planner: Of the current session, once its catalog is made; none in a process that another one spawned.
        sources: The code as it was when the process began.
        reasons: Why a node runs, by its name, where somebody has asked.
    """

    def __init__(self, package: Path = Path(__file__).parents[2]) -> None:
        self.planner: Planner | None = None
        self.reasons: dict[str, list[str]] = {}
        self.sources = Sources(package)
        self._begun: dict[str, State] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Learn of this session where its data root is, and what is set."""
        self._folder, self._project = data_root(context) / FOLDER, Project(context.project_path)
        self._parameters = context.params

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Make the planner of this session."""
        self.planner = Planner(catalog, self._folder, self.sources, self._project, self._parameters)
        self._begun = {}

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Look at everything a node will read, before it reads the first of it."""
        if self.planner is None or node.name in self._begun:
            return
        reasons = self.reasons.pop(node.name, [])
        stale = reasons not in ([], [NEW])
        # Nodes with a cache are the long ones: they report progress, but not whose it is.
        long = any(getattr(self.planner.catalog.get(name), "cache", False) for name in node.inputs)
        words = in_words(node.name, "run", reasons) if stale else node.name
        logger.log(logging.INFO if stale or long else logging.DEBUG, "%s", words)
        self._begun[node.name] = self.planner.state(node)

    before_node_run = before_dataset_loaded  # of a node that reads nothing

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """With its last output safe, note what a node made them from. A failure here fails no run."""
        if self.planner is not None and dataset_name == node.outputs[-1]:
            try:
                problem = self.planner.record(node, self._begun[node.name])
            except (OSError, MmctrError) as error:
                problem = str(error)
            if problem:
                logger.debug("%s will run again next time: %s", node.name, problem)

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Say whose traceback follows; a user's mistake says so itself."""
        if not isinstance(error, MmctrError):
            logger.error("%s failed", node.name)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Keep what was read of large files, however the run ended."""
        with suppress(OSError, MmctrError):
            if self.planner is not None:
                self.planner.contents.save()

    on_pipeline_error = after_pipeline_run


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
