"""The report pages: one task's, and all three side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmctr_kedro.common.params import leaves
from mmctr_kedro.models import TrainedModel, model_settings
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.reports import text
from mmctr_kedro.reports.figures import COLOURS, NAMES, draw, history_lengths, signals, slices
from mmctr_kedro.reports.rendering import page
from mmctr_kedro.reports.text import LABELS, form
from mmctr_kedro.submission.bundle import Bundle

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_CHOSEN_IN_CONF = (
    "model.name",
    "learning_rate",
    "batch_size",
    "embedding_regularizer",
    "epochs",
)  # by some environment

Metrics = dict[str, Any]
History = list[dict[str, Any]]


def write_task_report(
    ctr_model: TrainedModel,
    metrics: Metrics,
    training_history: History,
    data_report: dict[str, Any],
    data_diagnostics: dict[str, Any],
    worst_rows: dict[str, Any],
    rules: list[dict[str, Any]],
    *figures: Any,
) -> str:
    """The page of one task, as HTML, with ``figures`` in the order of ``NAMES``.

    Its command gives the model, what conf/ may choose, and what is not the default. Lists are left out of it:
    ``--params`` cannot take them.
    """
    task, best, settings = metrics["task"], metrics["best_reachable_auc"], model_settings(ctr_model)
    own = CtrParams(model={"name": settings.model.name}) if isinstance(settings, CtrParams) else FixedCtrParams()
    values, usual = (
        {name: "null" if value is None else str(value) for name, value in leaves(of.model_dump(mode="json"))}
        for of in (settings, own)
    )
    given = ",".join(
        f"{task}.ctr.{name}={value}"
        for name, value in values.items()
        if (value != usual[name] or name in _CHOSEN_IN_CONF) and not value.startswith("[")
    )
    limit = f" of at most {best:.4f}" if best is not None else ""
    return _page(
        {task: metrics},
        dict(zip(NAMES, figures, strict=True)),
        data_report,
        data_diagnostics,
        title=f"{LABELS[task]}: valid AUC {form(metrics['auc'], '.4f')}{limit}",
        one=metrics,
        history=training_history,
        epochs_allowed=settings.epochs,
        worst_rows=worst_rows,
        rules=rules,
        settings=[{"": f"{task}.ctr.{name}", " ": value} for name, value in values.items()],
        command=f'kedro run --pipeline {task} --params "{given}"',
    )


def write_report(data_report: dict[str, Any], data_diagnostics: dict[str, Any], *bundles: Bundle) -> str:
    """The page of the tasks of these bundles side by side, as HTML."""
    made = {task: results for bundle in bundles for task, results in bundle.results().items()}
    metrics = {task: of.metrics for task, of in made.items()}
    return _page(
        metrics,
        draw(metrics, {task: of.training_history for task, of in made.items()}),
        data_report,
        data_diagnostics,
        title="Task 1, Task 2 and Task 1 & 2 side by side",
        one=None,
        side_by_side=[
            {
                "": f"{LABELS[task]} · {of['model']}",
                "valid AUC": text.auc(of),
                "without the leak": text.auc(of["without_leak"]) if of["without_leak"] else "no leak",
                "of the way": form(text.way_to_best(of), "z.0%"),
                "GAUC": of["gauc"],
                "unseen": of["auc_unseen_items"]["auc"],
                "logloss": of["logloss"],
                "calibration": of["calibration_error"],
                "epoch kept": f"{of['best_epoch']} of {of['epochs']}",
            }
            for task, of in metrics.items()
        ],
        command="kedro run",
    )


def _page(
    metrics: dict[str, Metrics],
    figures: dict[str, Figure],
    data_report: dict[str, Any],
    data_diagnostics: dict[str, Any],
    **contents: Any,
) -> str:
    figures |= {"signals": signals(data_diagnostics), "history_lengths": history_lengths(data_diagnostics)}
    by_slice = [
        [
            {
                what: entry["bucket"],
                "rows": entry["rows"],
                "clicks": entry["clicks"],
                "best reachable": entry["best_reachable_auc"],
            }
            | {LABELS[task]: text.auc(of[number]) for task, of in by_task.items()}
            for number, entry in enumerate(next(iter(by_task.values())))
        ]
        for what, by_task in slices(metrics).items()
    ]
    return page(
        "report",
        figures,
        metrics=metrics,
        first=next(iter(metrics.values())),
        slices=by_slice,
        run=[
            {
                "": LABELS[task],
                "training seconds": of["run"]["seconds"],
                "rows_per_second": of["run"]["rows_per_second"],
            }
            for task, of in metrics.items()
        ],
        raw_files=data_report["raw_files"],
        data_report={name: said for name, said in data_report.items() if name != "raw_files"},
        data_diagnostics=data_diagnostics,
        labels=LABELS,
        names=text.NAMES,
        colours=COLOURS,
        **contents,
    )
