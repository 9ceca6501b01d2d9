"""Records what every node made its results from, in every run: ``kedro run`` and ``kedro update`` alike."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

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
                self.planner.remember()

    on_pipeline_error = after_pipeline_run
