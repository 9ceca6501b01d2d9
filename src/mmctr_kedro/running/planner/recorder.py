"""Records what every node made its results from, in every run: ``kedro run`` and ``kedro update`` alike."""

from __future__ import annotations

import logging
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

import mmctr_kedro
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.running.planner.plan import FOLDER, Planner, State, in_words
from mmctr_kedro.running.planner.sources import Sources

logger = logging.getLogger(__name__)


class Recorder:
    """Kedro hooks. Made when the process begins, because the sources count as they are then.

    Attributes:
        planner: Of the current session, once its catalog is made.
        sources: The code as it was when the process began.
        reasons: Why a node runs, by its name, where somebody has asked.
    """

    def __init__(self, package: Path = Path(mmctr_kedro.__file__).parent) -> None:
        self.planner: Planner | None = None
        self.sources = Sources(package)
        self.reasons: dict[str, list[str]] = {}
        self._begun: dict[str, State] = {}
        self._saved: dict[str, set[str]] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Learn where the data root of this session and the lock file are, and what is set."""
        config = context.config_loader
        root = (config.runtime_params or {}).get("root") or config["globals"]["root"]
        self._folder = context.project_path / root / FOLDER
        self._lock = context.project_path / "requirements.lock"
        self._parameters = context.params

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Make the planner of this session."""
        self.planner = Planner(catalog, self._folder, self.sources, self._lock, self._parameters)
        self._begun, self._saved = {}, {}

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Look at everything a node will read, before it reads the first of it."""
        self._begin(node)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """The same for a node that reads nothing."""
        self._begin(node)

    def _begin(self, node: Node) -> None:
        if self.planner and node.name not in self._begun:
            # The long nodes report progress themselves, but not whose they are.
            reasons = self.reasons.pop(node.name, None)
            logger.info("%s", in_words(node.name, "run", reasons) if reasons else node.name)
            self._begun[node.name], self._saved[node.name] = self.planner.state(node), set()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """With its last output safe, note what a node made them from. A failure here fails no run."""
        if self.planner is None or node.name not in self._begun:
            return
        self._saved[node.name].add(dataset_name)
        if self._saved[node.name] >= set(node.outputs):
            try:
                problem = self.planner.record(node, self._begun[node.name])
            except (OSError, MmctrError) as error:
                problem = str(error)
            if problem:
                logger.debug("%s will run again next time: %s", node.name, problem)

    @hook_impl
    def on_node_error(self, node: Node) -> None:
        """Forget a node that failed."""
        self._begun.pop(node.name, None)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Keep what was read of large files."""
        self._remember()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """The same after a failure."""
        self._remember()

    def _remember(self) -> None:
        if self.planner:
            try:
                self.planner.remember()
            except (OSError, MmctrError) as error:
                logger.debug("%s", error)
