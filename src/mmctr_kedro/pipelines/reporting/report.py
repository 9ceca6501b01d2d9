"""The contents of the report pages: one task's, and all three side by side."""

from __future__ import annotations

from html import escape
from typing import Any

from mmctr_kedro.params import CtrParams, FixedCtrParams, leaves
from mmctr_kedro.pipelines.reporting import text
from mmctr_kedro.pipelines.reporting.figures import COLOURS, draw
from mmctr_kedro.pipelines.reporting.page import (
    details,
    fact_list,
    facts,
    figure_place,
    flat,
    html_page,
    json_tables,
    paragraph,
    scale,
    table,
)
from mmctr_kedro.pipelines.reporting.text import LABELS

Metrics = dict[str, Any]
History = list[dict[str, Any]]


def task_page(
    metrics: Metrics,
    history: History,
    raw_files: dict[str, Any],
    data_report: dict[str, Any],
    worst_rows: dict[str, Any],
    settings: CtrParams | FixedCtrParams,
    figures: dict[str, Any],
) -> str:
    """The page of one task; ``settings`` are the ones its model was trained with, ``figures`` its own."""
    task = metrics["task"]
    label = LABELS[task]
    body = [
        f'<p class="eyebrow">MM-CTR · {label}: {escape(text.NAMES[task])}</p>',
        f"<h1>{_headline(metrics)}</h1>",
        paragraph(text.about_auc(metrics), "lead"),
        _unofficial({task: metrics}),
        scale([(label, metrics["auc"], metrics["best_reachable_auc"], COLOURS[task])]),
        facts(_task_facts(metrics)),
        "<h2>Training</h2>",
        paragraph(text.about_training(metrics, settings)),
        figure_place("training_curves"),
        details("Every epoch", _epochs(history)),
        "<h2>Ranking and calibration</h2>",
        paragraph(text.about_calibration(metrics)),
        _pair(figure_place("roc"), figure_place("calibration")),
        "<h2>Where the model is good</h2>",
        paragraph(text.about_slices(metrics["slices"]["history_length"], "clicks in the history")),
        figure_place("auc_by_history_length"),
        paragraph(text.about_slices(metrics["slices"]["popularity"], "clicks on the item in train")),
        paragraph(text.about_unseen({task: metrics})),
        figure_place("auc_by_popularity"),
        paragraph("Bars are one standard error. AUC within a bucket compares its own rows alone.", "note"),
        details("The same in numbers", _slices({task: metrics})),
        "<h2>Where it is most wrong</h2>",
        _worst_rows(worst_rows),
        "<h2>Test rows</h2>",
        paragraph(text.about_test(metrics)),
        _data(raw_files, data_report),
        "<h2>Settings</h2>",
        fact_list(_settings(task, settings)),
        _reproduce(f"kedro run --pipeline {task}", _settings(task, settings, changed_only=True)),
    ]
    return html_page(f"{label}: {_headline(metrics)}", _joined(body), figures)


def combined_page(
    metrics: dict[str, Metrics],
    histories: dict[str, History],
    raw_files: dict[str, Any],
    data_report: dict[str, Any],
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
        _data(raw_files, data_report),
        "<h2>Covers</h2>",
        paragraph(text.about_covers(cover_report)),
        details("By item", fact_list(flat(cover_report))),
        _reproduce("kedro run", []),
    ]
    return html_page(f"MM-CTR: {title}", _joined(body), draw(metrics, histories))


def _headline(metrics: Metrics) -> str:
    best = metrics["best_reachable_auc"]
    return f"Valid AUC {_auc(metrics['auc'])}" + (f" of at most {_auc(best)}" if best is not None else "")


def _task_facts(metrics: Metrics) -> list[tuple[str, str]]:
    error = metrics["auc_standard_error"]
    return [
        ("valid AUC", _auc(metrics["auc"])),
        ("its standard error", "–" if error is None else f"{error:.4f}"),
        ("best reachable AUC", _auc(metrics["best_reachable_auc"])),
        ("valid logloss", f"{metrics['logloss']:.4f}"),
        (f"epochs (best: {metrics['best_epoch']})", f"{metrics['epochs']}"),
        ("training time", text.duration(metrics["seconds"])),
    ]


def _side_by_side(metrics: dict[str, Metrics]) -> str:
    header = [
        "",
        "valid AUC",
        "± one s.e.",
        "best reachable",
        "of the way",
        "logloss",
        "calibration",
        "epochs",
        "kept",
        "time",
    ]
    rows = []
    for task, of in metrics.items():
        way = text.way_to_best(of)
        rows.append(
            [
                LABELS[task],
                _auc(of["auc"]),
                _auc(of["auc_standard_error"]),
                _auc(of["best_reachable_auc"]),
                "–" if way is None else f"{way:.0%}",
                f"{of['logloss']:.4f}",
                f"{of['expected_calibration_error']:.3f}",
                of["epochs"],
                of["best_epoch"],
                text.duration(of["seconds"]),
            ]
        )
    return table(header, rows)


def _epochs(history: History) -> str:
    forms = {
        "epoch": "d",
        "train_loss": ".4f",
        "valid_auc": ".4f",
        "valid_logloss": ".4f",
        "learning_rate": "g",
        "seconds": ".1f",
        "rows_per_second": ",.0f",
    }
    header = [name.replace("_", " ").replace("auc", "AUC") for name in forms]
    return table(header, ([format(entry[name], form) for name, form in forms.items()] for entry in history))


def _slices(metrics: dict[str, Metrics]) -> str:
    """Both kinds of slice as tables, one AUC column per task."""
    parts = []
    for name, title in (
        ("history_length", "clicks in the history"),
        ("popularity", "clicks on the item in train"),
    ):
        rows = [
            [entry["bucket"], entry["rows"], entry["clicks"], _auc(entry["best_reachable_auc"])]
            for entry in next(iter(metrics.values()))["slices"][name]
        ]
        for of in metrics.values():
            for row, entry in zip(rows, of["slices"][name], strict=True):
                error = entry["auc_standard_error"]
                row.append(_auc(entry["auc"]) + (f" ± {error:.3f}" if error is not None else ""))
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


def _data(raw_files: dict[str, Any], data_report: dict[str, Any]) -> str:
    return _joined(
        [
            "<h2>Data</h2>",
            json_tables(raw_files),
            details("What data_processing found", json_tables(data_report)),
        ]
    )


def _unofficial(metrics: dict[str, Metrics]) -> str:
    said = text.about_unofficial(metrics)
    return paragraph(said, "warning") if said else ""


def _settings(task: str, settings: CtrParams | FixedCtrParams, changed_only: bool = False) -> list[tuple[str, str]]:
    """Settings by name with their exact values, as ``--params`` takes them."""
    values = leaves({f"{task}.ctr": settings.model_dump(mode="json", exclude_defaults=changed_only)})
    return [(name, "null" if value is None else str(value)) for name, value in values]


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


def _auc(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _joined(parts: list[str]) -> str:
    return "\n".join(part for part in parts if part)
