"""What happens around a run: settings checked before it, checkpoints cleared in it, a summary after it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from mmctr_kedro.common.params import TASKS, leaves
from mmctr_kedro.pipelines.settings import check_settings, refuse_idle
from mmctr_kedro.reports.text import about_ceilings, auc
from mmctr_kedro.running.credentials import blot_out, redact_logs, refuse_credentials
from mmctr_kedro.submission.rules import broken, listing


class ProjectHooks:
    """Kedro hooks of the project."""

    @hook_impl(tryfirst=True)  # before other hooks trust what conf/ says
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse credentials in settings, then unknown, misspelt or impossible ones, used by this run or not."""
        redact_logs()
        loader = context.config_loader
        given = loader.runtime_params
        refuse_credentials(given, "--params")
        with suppress(MissingConfigException):  # nobody has to have any
            blot_out(value for _, value in leaves(loader["credentials"]) if isinstance(value, str))
        trees = {name: loader[name] for name in ("globals", "catalog", "parameters")}
        for name, tree in trees.items():
            refuse_credentials(tree, f"the {name} of conf/")
        check_settings(parameters=trees["parameters"], one_line_choices=trees["globals"], given=given)
        self._given = given

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Refuse ``--params`` that would act on nothing."""
        names = run_params.get("pipeline_names") or ["__default__"]
        refuse_idle(self._given, pipeline.inputs(), ", ".join(names))

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        """Keep the catalog: Kedro tells ``after_dataset_saved`` only a name."""
        self._catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Clear a training's checkpoint once its last output is safe: the next run trains anew."""
        task, _, name = dataset_name.rpartition(".")
        checkpoint = {"training_history": "checkpoint", "leak_free_predictions": "leak_free_checkpoint"}.get(name)
        if checkpoint:
            self._catalog.load(f"params:{task}.{checkpoint}").clear()

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Print the valid AUCs this run made, where its report and submission are, and which rules are broken."""
        made, present = pipeline.all_outputs(), pipeline.datasets()
        rules = {task: catalog.load(f"{task}.rules") for task in TASKS if f"{task}.rules" in present}
        metrics = {task: catalog.load(f"{task}.metrics") for task in TASKS if f"{task}.metrics" in made}
        lines = [_score(task, of) for task, of in metrics.items()]
        if ceilings := next(map(about_ceilings, metrics.values()), ""):  # of the world, the same for each task
            lines.append(ceilings)
        kinds = ("report", "submission", "bundle", "scored", "exported", "tuning_report")
        # The combined one says it all; single ones are named when they are all there is.
        places = {kind: [kind] if kind in made else [f"{task}.{kind}" for task in TASKS] for kind in kinds}
        wanted = [name for names in places.values() for name in names if name in made]
        width = max(12, *map(len, wanted), 0)
        lines += [f"{name:<{width}} {_place(name, catalog)}" for name in wanted]
        if rules and made <= {f"{task}.rules" for task in TASKS}:  # the pipeline rules
            lines.append("\n\n".join(listing(f"{task}.rules", found) for task, found in rules.items()))
        else:
            lines += _marks({task: broken(found) for task, found in rules.items()})
        if "submission_check" in made:
            # Here, as it brings pandas, which kedro run --help does without.
            from mmctr_kedro.submission.check_submission import in_words

            lines.append(in_words(catalog.load("submission_check")))
        if lines:
            print("\n" + "\n".join(lines) + "\n", flush=True)


def _score(task: str, metrics: dict[str, Any]) -> str:
    left = metrics["without_leak"]
    half = f"   {auc(left)} without the levels' leak" if left is not None else ""
    mark = "   not submittable" if metrics["not_submittable"] else ""
    return f"{task:<12} {metrics['model']:<15} valid AUC {auc(metrics)}{half}{mark}"


def _marks(reasons: dict[str, list[str]]) -> list[str]:
    """Why tasks may not be sent in, each reason once with the tasks it holds for."""
    tasks_of: dict[str, list[str]] = {}
    for task, found in reasons.items():
        for reason in found:
            tasks_of.setdefault(reason, []).append(task)
    if not tasks_of:
        return []
    return ["", "not submittable, and marked so:", *(f"  {', '.join(of)}: {why}" for why, of in tasks_of.items())]


def _place(name: str, catalog: CatalogProtocol) -> Path:
    path = Path(getattr(catalog.get(name), "_filepath", ""))
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
