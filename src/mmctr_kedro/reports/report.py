"""The report pages: one task's, and all three side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmctr_kedro.common.params import leaves
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.models import model_settings
from mmctr_kedro.models.settings import CtrParams, FixedCtrParams
from mmctr_kedro.reports import advice, text
from mmctr_kedro.reports.examples import items_of
from mmctr_kedro.reports.figures import COLOURS, NAMES, draw, history_lengths, signals, slices
from mmctr_kedro.reports.items import pictures
from mmctr_kedro.reports.rendering import page
from mmctr_kedro.reports.text import LABELS, form
from mmctr_kedro.submission.bundle import Bundle, Results

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_CHOSEN_IN_CONF = (
    "model.name",
    "learning_rate",
    "batch_size",
    "embedding_regularizer",
    "epochs",
)  # by some environment
_STATE = ("running_mean", "running_var", "num_batches_tracked")  # of batch norm: counted, not learnt

Metrics = dict[str, Any]


def write_task_report(
    data_report: dict[str, Any],
    data_diagnostics: dict[str, Any],
    covers: Covers,
    example_rows: dict[str, list[dict[str, Any]]],
    *made: Any,
) -> str:
    """The page of one task, as HTML.

    Args:
        covers: Read once, for the items of the example rows.
        example_rows: By kind, as ``examples.in_words`` gives them.
        made: The ``Results`` of the task, then its figures in the order of ``NAMES``.
    """
    count = len(Results._fields)
    of, figures = Results(*made[:count]), dict(zip(NAMES, made[count:], strict=True))
    task, best = of.metrics["task"], of.metrics["best_reachable_auc"]
    limit = f" of at most {best:.4f}" if best is not None else ""
    title = f"{LABELS[task]}: valid AUC {form(of.metrics['auc'], '.4f')}{limit}"
    command = f'kedro run --pipeline {task} --params "{_given(task, model_settings(of.ctr_model))}"'
    said = [abs(value) for rows in example_rows.values() for row in rows for value in row["pieces"].values()]
    return _page(
        {task: of}, figures, data_report, data_diagnostics, title=title, command=command, example_rows=example_rows,
        pictures=pictures(covers, items_of(example_rows)), most=max(said, default=0.0) or 1.0,
    )  # fmt: skip


def write_report(data_report: dict[str, Any], data_diagnostics: dict[str, Any], *bundles: Bundle) -> str:
    """The page of the tasks of these bundles side by side, as HTML; rows are on the pages of the tasks alone."""
    tasks = {task: of for bundle in bundles for task, of in bundle.results().items()}
    figures = draw(
        {task: of.metrics for task, of in tasks.items()}, {task: of.training_history for task, of in tasks.items()}
    )
    title = "Task 1, Task 2 and Task 1 & 2 side by side"
    return _page(tasks, figures, data_report, data_diagnostics, title=title, command="kedro run")


def _page(
    tasks: dict[str, Results],
    figures: dict[str, Figure],
    data_report: dict[str, Any],
    data_diagnostics: dict[str, Any],
    **contents: Any,
) -> str:
    figures |= {"signals": signals(data_diagnostics), "history_lengths": history_lengths(data_diagnostics)}
    metrics = {task: of.metrics for task, of in tasks.items()}
    settings = {task: model_settings(of.ctr_model) for task, of in tasks.items()}
    simulated = data_report["raw_files"]["source"] == "simulated"
    embeddings = [of["embedding"] for of in metrics.values()]
    provided = next((of["next_item_recall_at_100"] for of in embeddings if of["variant"] == "provided"), None)
    return page(
        "report",
        figures,
        tasks=tasks,
        metrics=metrics,
        first=next(iter(metrics.values())),
        models=[_about_model(of, settings[task]) for task, of in tasks.items()],
        settings={
            task: [{"": f"{task}.ctr.{name}", " ": value} for name, value in _values(of).items()]
            for task, of in settings.items()
        },
        results=_with_something([_results(of) for of in metrics.values()]),
        slices=[_in_numbers(what, by_task) for what, by_task in slices(metrics).items()],
        advice=advice.advise([advice.shown(of, settings[task], simulated, provided) for task, of in metrics.items()]),
        data_report=data_report,
        data_diagnostics=data_diagnostics,
        labels=LABELS,
        names=text.NAMES,
        kinds=text.KINDS,
        colours=COLOURS,
        **contents,
    )


def _about_model(of: Results, settings: CtrParams | FixedCtrParams) -> dict[str, Any]:
    embedding, model = of.metrics["embedding"], CtrParams(**of.ctr_model.settings["ctr"]).model
    made_of = ", ".join(f"{what} by {encoder}" for what, encoder in sorted(embedding["encoders"].items()))
    variant = "provided" if embedding["variant"] == "provided" else f"{embedding['variant']}: of those provided"
    return {
        "": LABELS[of.metrics["task"]],
        "embedding": f"{embedding['variant']}: {made_of}" if made_of else f"{variant} by the organisers",
        "next click among its nearest 100": form(embedding["next_item_recall_at_100"], ".1%"),
        "model": f"{model.name}: {model.about}",
        "parameters": sum(array.size for name, array in of.ctr_model.weights.items() if not name.endswith(_STATE)),
        "epoch kept": f"{of.metrics['best_epoch']} of {of.metrics['epochs']}",
    }


def _results(of: Metrics) -> dict[str, Any]:
    left, ceilings = of["without_leak"], of["ceilings"] or {}
    return {
        "": f"{LABELS[of['task']]} · {of['model']}",
        "valid AUC": _glued(text.auc(of)),
        "best reachable": of["best_reachable_auc"],
        "without the leak": _glued(text.auc(left)) if left else "no leak",
        "best without it": ceilings.get("posterior_without_levels") if left else None,
        "within users (GAUC)": _glued(text.with_interval(of["gauc"], of["gauc_interval"])),
        "logloss": of["logloss"],
        "calibration error": of["calibration_error"],
    }


def _in_numbers(what: str, by_task: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The slices of all tasks as one table."""
    return [
        {
            what: entry["bucket"],
            "rows": entry["rows"],
            "clicks": entry["clicks"],
            "best reachable": entry["best_reachable_auc"],
        }
        | {LABELS[task]: _glued(text.auc(of[number])) for task, of in by_task.items()}
        for number, entry in enumerate(next(iter(by_task.values())))
    ]


def _with_something(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without columns that are None in all of them."""
    return [{name: of for name, of in row.items() if any(other[name] is not None for other in rows)} for row in rows]


def _glued(measure: str) -> str:
    """An interval that a narrow column breaks nowhere but before it."""
    return measure.replace(" to ", "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}")


def _values(settings: CtrParams | FixedCtrParams) -> dict[str, str]:
    values = leaves(settings.model_dump(mode="json"))
    return {name: "null" if value is None else str(value) for name, value in values}


def _given(task: str, settings: CtrParams | FixedCtrParams) -> str:
    """The model, what conf/ may choose, and what is not the default, as ``--params`` takes it: not lists."""
    own = CtrParams(model={"name": settings.model.name}) if isinstance(settings, CtrParams) else FixedCtrParams()
    usual = _values(own)
    return ",".join(
        f"{task}.ctr.{name}={value}"
        for name, value in _values(settings).items()
        if (value != usual[name] or name in _CHOSEN_IN_CONF) and not value.startswith("[")
    )
