"""What happens around a run: settings checked before it, checkpoints cleared in it, a summary after it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml
from kedro.config import AbstractConfigLoader, MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from mmctr_kedro.credentials import know, redact_logs, refuse_credentials
from mmctr_kedro.errors import MmctrError
from mmctr_kedro.params import TASKS, check_settings, leaves
from mmctr_kedro.safety import check_catalog, unreadable

logger = logging.getLogger(__name__)


class ProjectHooks:
    """Kedro hooks of the project."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse unknown, misspelt or impossible settings, used by this run or not, before any work.

        Before that, whatever is not safe: credentials in settings, and classes of strangers in the catalog.
        """
        given = context.config_loader.runtime_params or {}
        read = _read_safely(context.config_loader, given)
        check_catalog(read["catalog"])
        check_settings(parameters=read["parameters"], one_line_choices=read["globals"], given=given)

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Keep the catalog: Kedro tells ``after_dataset_saved`` only a name."""
        self._catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Clear a training's checkpoint once its last output is safe: the next run trains anew."""
        task, _, name = dataset_name.rpartition(".")
        if name == "training_history":
            self._catalog.load(f"{task}.checkpoint").clear()

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Say what begins: the long nodes report progress themselves, but not whose they are."""
        logger.info("%s", node.name)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Print the valid AUCs this run made and where its report and submission are."""
        made = pipeline.all_outputs()
        scores = (f"{task}.metrics" for task in TASKS)
        lines = [_score(name, catalog.load(name)) for name in scores if name in made]
        for kind in ("report", "submission"):
            if wanted := sorted(name for name in made if name.split(".")[-1] == kind):
                # The combined one says it all; single ones are named when they are all there is.
                lines += [_place(name, catalog) for name in ([kind] if kind in wanted else wanted)]
        if lines:
            print("\n" + "\n".join(lines) + "\n", flush=True)


def _read_safely(loader: AbstractConfigLoader, given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Globals, catalog and parameters, once no credential can get out of them or into a log."""
    redact_logs()
    refuse_credentials(given, "--params")
    trees = {}
    for name in ("globals", "credentials", "catalog", "parameters"):  # the first first: the others refer to them
        try:
            trees[name] = loader[name]
        except MissingConfigException:
            if name != "credentials":  # which nobody has to have
                raise
        except yaml.YAMLError as error:
            raise MmctrError(unreadable(f"The {name}", error)) from error
    know(value for _, value in leaves(trees.pop("credentials", {})) if isinstance(value, str))
    for name, tree in trees.items():
        refuse_credentials(tree, f"the {name} of conf/")
    return trees


def _score(name: str, metrics: dict[str, Any]) -> str:
    best = metrics["best_reachable_auc"]
    ceiling = f"   (best reachable in this world {best:.4f})" if best is not None else ""
    mark = f"   not submittable: {', '.join(metrics['not_submittable'])}" if metrics["not_submittable"] else ""
    return f"{name.removesuffix('.metrics'):<12} {metrics['model']:<15} valid AUC {metrics['auc']:.4f}{ceiling}{mark}"


def _place(name: str, catalog: CatalogProtocol) -> str:
    path = Path(getattr(catalog.get(name), "_filepath", ""))
    return f"{name:<12} {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}"
