"""The contents of the report pages: one task's, and all three side by side."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from mmctr_kedro.common.params import CtrParams, FixedCtrParams, leaves
from mmctr_kedro.reports import text
from mmctr_kedro.reports.ctr_figures import COLOURS, by_popularity, draw
from mmctr_kedro.reports.data_section import data_figures, data_section
from mmctr_kedro.reports.page import (
    details,
    fact_list,
    facts,
    figure_place,
    flat,
    html_page,
    paragraph,
    scale,
    table,
)
from mmctr_kedro.reports.text import LABELS

_CHOSEN_IN_CONF = ("learning_rate", "batch_size", "embedding_regularizer", "epochs")  # by some environment

Metrics = dict[str, Any]
History = list[dict[str, Any]]


def task_page(
    metrics: Metrics,
    history: History,
    raw_files: dict[str, Any],
    data_report: dict[str, Any],
    data_diagnostics: dict[str, Any],
    worst_rows: dict[str, Any],
    rules: list[dict[str, Any]],
    settings: CtrParams | FixedCtrParams,
    figures: dict[str, Any],
) -> str:
    """The page of one task; ``settings`` are the ones its model was trained with, ``figures`` its own."""
    task = metrics["task"]
    label = LABELS[task]
    body = [
        f'<p class="eyebrow">MM-CTR · {label}: {escape(text.NAMES[task])} · {escape(metrics["model"])}</p>',
        f"<h1>{_headline(metrics)}</h1>",
        paragraph(text.about_auc(metrics), "lead"),
        paragraph(text.about_leak(metrics)),
        paragraph(text.about_ceilings(metrics), "note"),
        _unofficial({task: metrics}),
        scale([(label, metrics["auc"], metrics["best_reachable_auc"], COLOURS[task])]),
        facts(_task_facts(metrics)),
        "<h2>Training</h2>",
        paragraph(text.about_training(metrics, settings)),
        figure_place("training_curves"),
        details("Every epoch", _epochs(history)),
        _compared(metrics),
        "<h2>Ranking and calibration</h2>",
        paragraph(text.about_calibration(metrics)),
        _pair(figure_place("roc"), figure_place("calibration")),
        "<h2>Where the model is good</h2>",
        paragraph(text.about_gauc(metrics)),
        paragraph(text.about_slices(metrics["auc_by_history_length"], "clicks in the history")),
        figure_place("auc_by_history_length"),
        paragraph(text.about_slices(metrics["auc_by_popularity_decile"], "clicks on the item in train")),
        paragraph(text.about_unseen({task: metrics})),
        figure_place("auc_by_popularity"),
        paragraph("Bars are one standard error. AUC within a bucket compares its own rows alone.", "note"),
        details("The same in numbers", _slices({task: metrics})),
        "<h2>Where it is most wrong</h2>",
        _worst_rows(worst_rows),
        "<h2>Test rows</h2>",
        paragraph(text.about_test(metrics)),
        data_section(raw_files, data_report, data_diagnostics),
        "<h2>Rules</h2>",
        paragraph(text.about_rules(rules)),
        details("Every rule", _rules(rules)),
        "<h2>Settings</h2>",
        fact_list(_settings(task, settings)),
        _reproduce(f"kedro run --pipeline {task}", _given(task, settings)),
        _run({task: metrics}, details("Every epoch", _times(history))),
    ]
    return html_page(f"{label}: {_headline(metrics)}", _joined(body), {**figures, **data_figures(data_diagnostics)})


def combined_page(
    metrics: dict[str, Metrics],
    histories: dict[str, History],
    raw_files: dict[str, Any],
    data_report: dict[str, Any],
    data_diagnostics: dict[str, Any],
    cover_report: dict[str, Any],
) -> str:
    """The page of all tasks side by side."""
    first = next(iter(metrics.values()))
    labels = [LABELS[task] for task in metrics]
    title = f"{', '.join(labels[:-1])} and {labels[-1]} side by side"
    body = [
        '<p class="eyebrow">MM-CTR · multimodal click-through-rate prediction</p>',
        f"<h1>{escape(title)}</h1>",
        paragraph(text.about_tasks(metrics), "lead"),
        *(paragraph(f"{LABELS[task]}. {said}") for task, of in metrics.items() if (said := text.about_leak(of))),
        paragraph(text.about_ceilings(first), "note"),
        _unofficial(metrics),
        scale((LABELS[task], of["auc"], of["best_reachable_auc"], COLOURS[task]) for task, of in metrics.items()),
        _side_by_side(metrics),
        paragraph(text.what_tasks_are(metrics), "note"),
        paragraph(text.about_best(first), "note"),
        "<h2>Training</h2>",
        figure_place("training_curves"),
        *(paragraph(f"{LABELS[task]}. {text.about_training(of)}") for task, of in metrics.items()),
        "<h2>Ranking and calibration</h2>",
        _pair(figure_place("roc"), figure_place("calibration")),
        "<h2>Where the models are good</h2>",
        figure_place("auc_by_history_length"),
        figure_place("auc_by_popularity"),
        paragraph("Bars are one standard error. AUC within a bucket compares its own rows alone.", "note"),
        paragraph(text.about_unseen(metrics)),
        details("The same in numbers", _slices(metrics)),
        "<h2>Test rows</h2>",
        paragraph(text.about_test(first)),
        data_section(raw_files, data_report, data_diagnostics),
        "<h2>Covers</h2>",
        paragraph(text.about_covers(cover_report)),
        details("By item", fact_list(flat(cover_report))),
        _reproduce("kedro run", []),
        _run(metrics),
    ]
    drawn = {**draw(metrics, histories), **data_figures(data_diagnostics)}
    return html_page(f"MM-CTR: {title}", _joined(body), drawn)


def _headline(metrics: Metrics) -> str:
    best = metrics["best_reachable_auc"]
    return f"Valid AUC {_auc(metrics['auc'])}" + (f" of at most {_auc(best)}" if best is not None else "")


def _task_facts(metrics: Metrics) -> list[tuple[str, str]]:
    error = metrics["auc_standard_error"]
    return [
        ("valid AUC", _auc(metrics["auc"])),
        ("its standard error", "–" if error is None else f"{error:.4f}"),
        ("without the leak", _left(metrics)),
        ("best reachable AUC", _auc(metrics["best_reachable_auc"])),
        ("AUC within users (GAUC)", _auc(metrics["gauc"])),
        ("valid logloss", f"{metrics['logloss']:.4f}"),
        ("calibration error", f"{metrics['calibration_error']:.4f}"),
        (f"epochs (best: {metrics['best_epoch']})", f"{metrics['epochs']}"),
    ]


def _side_by_side(metrics: dict[str, Metrics]) -> str:
    columns: dict[str, Callable[[Metrics], Any]] = {
        "valid AUC": _auc_and_error,
        "without the leak": _left,
        "of the way": _way,
        "GAUC": lambda of: _auc(of["gauc"]),
        "unseen": lambda of: _auc(of["auc_unseen_items"]["auc"]),
        "logloss": lambda of: f"{of['logloss']:.4f}",
        "calibration": lambda of: f"{of['calibration_error']:.3f}",
        "epoch kept": lambda of: f"{of['best_epoch']} of {of['epochs']}",
    }
    rows = (
        [f"{LABELS[task]} · {of['model']}", *(value(of) for value in columns.values())] for task, of in metrics.items()
    )
    return table(["", *columns], rows)


def _compared(metrics: Metrics) -> str:
    """The pieces that had to earn their place."""
    header = ["piece", "valid AUC with it", "without it", "gain", "standard error", "kept"]
    rows = (
        [
            entry["piece"],
            f"{entry['auc_with']:.4f}",
            f"{entry['auc_without']:.4f}",
            f"{entry['gain']:+.4f}",
            f"{entry['standard_error']:.4f}",
            "yes" if entry["kept"] else "no",
        ]
        for entry in metrics["compared"]
    )
    return paragraph(text.about_compared(metrics)) + table(header, rows) if metrics["compared"] else ""


def _left(metrics: Metrics) -> str:
    return "no leak" if metrics["without_leak"] is None else _auc_and_error(metrics["without_leak"])


def _way(metrics: Metrics) -> str:
    way = text.way_to_best(metrics)
    return "–" if way is None else f"{way:.0%}"


def _epochs(history: History) -> str:
    forms = {
        "epoch": "d",
        "train_loss": ".4f",
        "valid_auc": ".4f",
        "valid_logloss": ".4f",
        "learning_rate": "g",
    }
    return _of_history(history, forms)


def _times(history: History) -> str:
    return _of_history(history, {"epoch": "d", "seconds": ".1f", "rows_per_second": ",.0f"})


def _of_history(history: History, forms: dict[str, str]) -> str:
    header = [name.replace("_", " ").replace("auc", "AUC") for name in forms]
    return table(header, ([format(entry[name], form) for name, form in forms.items()] for entry in history))


def _slices(metrics: dict[str, Metrics]) -> str:
    """Both kinds of slice as tables, one AUC column per task."""
    parts = []
    for entries, title in (
        ({task: of["auc_by_history_length"] for task, of in metrics.items()}, "clicks in the history"),
        ({task: by_popularity(of) for task, of in metrics.items()}, "clicks on the item in train"),
    ):
        rows = [
            [entry["bucket"], entry["rows"], entry["clicks"], _auc(entry["best_reachable_auc"])]
            for entry in next(iter(entries.values()))
        ]
        for of in entries.values():
            for row, entry in zip(rows, of, strict=True):
                row.append(_auc_and_error(entry))
        parts.append(table([title, "rows", "clicks", "best reachable", *(LABELS[task] for task in metrics)], rows))
    return "".join(parts)


def _worst_rows(found: dict[str, Any]) -> str:
    titles = {
        "missed_clicks": "Clicks it thought least likely",
        "false_hopes": "Skipped rows it was surest of",
    }
    header = ["prediction", "item", "tags", "the user's newest clicks"]
    return "".join(
        f"<h3>{title}</h3>"
        + table(
            header,
            (
                [f"{row['prediction']:.3f}", row["item"], row["tags"], " · ".join(row["clicked_before"])]
                for row in found[name]
            ),
        )
        for name, title in titles.items()
    )


def _rules(rules: list[dict[str, Any]]) -> str:
    rows = ([entry["rule"], "yes" if entry["held"] else "NO", entry["evidence"], entry["source"]] for entry in rules)
    return table(["rule", "held", "evidence", "source"], rows)


def _run(metrics: dict[str, Metrics], more: str = "") -> str:
    """All that tells of this run alone: the same run, repeated, gives the same page outside this section."""
    rows = (
        [LABELS[task], text.duration(of["run"]["seconds"]), f"{of['run']['rows_per_second']:,.0f}"]
        for task, of in metrics.items()
    )
    return f'<section id="run"><h2>This run</h2>{table(["", "training time", "rows a second"], rows)}{more}</section>'


def _unofficial(metrics: dict[str, Metrics]) -> str:
    said = text.about_unofficial(metrics)
    return paragraph(said, "warning") if said else ""


def _settings(task: str, settings: CtrParams | FixedCtrParams) -> list[tuple[str, str]]:
    """Settings by name with their exact values, as ``--params`` takes them."""
    values = leaves({f"{task}.ctr": settings.model_dump(mode="json")})
    return [(name, "null" if value is None else str(value)) for name, value in values]


def _given(task: str, settings: CtrParams | FixedCtrParams) -> list[tuple[str, str]]:
    """What a command must say for these settings: the model, what conf/ may choose, what is not the model's own.

    Lists are left out: ``--params`` cannot take them.
    """
    own = CtrParams(model={"name": settings.model.name}) if isinstance(settings, CtrParams) else FixedCtrParams()
    usual = dict(_settings(task, own))
    always = tuple(f"{task}.ctr.{name}" for name in ("model.name", *_CHOSEN_IN_CONF))
    return [
        (name, value)
        for name, value in _settings(task, settings)
        if (value != usual[name] or name in always) and not value.startswith("[")
    ]


def _reproduce(command: str, params: list[tuple[str, str]]) -> str:
    given = ",".join(f"{name}={value}" for name, value in params)
    command += f' --params "{given}"' if given else ""
    return _joined(
        [
            "<h2>Make this page again</h2>",
            f"<pre>{escape(command)}</pre>",
            paragraph(
                "Add the --env and any other --params of its run. The same inputs give the same bytes.",
                "note",
            ),
        ]
    )


def _pair(left: str, right: str) -> str:
    return f'<div class="pair">{left}{right}</div>'


def _auc_and_error(of: dict[str, Any]) -> str:
    """Of a task or a slice."""
    error = of["auc_standard_error"]
    return _auc(of["auc"]) + (f" ± {error:.4f}" if error is not None else "")


def _auc(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _joined(parts: list[str]) -> str:
    return "\n".join(part for part in parts if part)
