"""The report pages: one task's, and all three side by side."""

from __future__ import annotations

from typing import Any

from mmctr_kedro.common.params import leaves
from mmctr_kedro.models import TrainedModel, model_settings
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.reports import text
from mmctr_kedro.reports.figures import COLOURS, draw, history_lengths, signals, slices
from mmctr_kedro.reports.page import page
from mmctr_kedro.reports.text import LABELS, form

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
    raw_files: dict[str, Any],
    data_report: dict[str, Any],
    data_diagnostics: dict[str, Any],
    worst_rows: dict[str, Any],
    rules: list[dict[str, Any]],
) -> str:
    """The page of one task, as HTML. Its command gives the model, what conf/ may choose, and what is not the default.

    Lists are left out of the command: ``--params`` cannot take them.
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
        {task: training_history},
        data_diagnostics,
        title=f"{LABELS[task]}: valid AUC {form(metrics['auc'], '.4f')}{limit}",
        one=metrics,
        history=training_history,
        epochs_allowed=settings.epochs,
        worst_rows=worst_rows,
        rules=rules,
        settings=[{"": f"{task}.ctr.{name}", " ": value} for name, value in values.items()],
        command=f'kedro run --pipeline {task} --params "{given}"',
        raw_files=raw_files,
        data_report=data_report,
    )


def write_report(
    task1_metrics: Metrics,
    task2_metrics: Metrics,
    task1_and_2_metrics: Metrics,
    task1_history: History,
    task2_history: History,
    task1_and_2_history: History,
    raw_files: dict[str, Any],
    data_report: dict[str, Any],
    data_diagnostics: dict[str, Any],
    cover_report: dict[str, Any],
) -> str:
    """The page of all three tasks side by side, as HTML."""
    metrics = {"task1": task1_metrics, "task2": task2_metrics, "task1_and_2": task1_and_2_metrics}
    return _page(
        metrics,
        {"task1": task1_history, "task2": task2_history, "task1_and_2": task1_and_2_history},
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
        cover_report=cover_report,
        command="kedro run",
        raw_files=raw_files,
        data_report=data_report,
    )


def _page(
    metrics: dict[str, Metrics], histories: dict[str, History], data_diagnostics: dict[str, Any], **contents: Any
) -> str:
    figures = draw(metrics, histories)
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
        data_diagnostics=data_diagnostics,
        labels=LABELS,
        names=text.NAMES,
        colours=COLOURS,
        **contents,
    )
