"""What a user of an exported model has to know of it, in Markdown."""

from __future__ import annotations

from typing import Any

from mmctr_kedro.reports.rendering import templates


def model_card(
    task: str,
    settings: dict[str, Any],
    metrics: dict[str, Any],
    measured: list[dict[str, Any]],
    data_report: dict[str, Any],
) -> str:
    """The card from ``templates/model_card.md.j2``.

    Args:
        task: Its submission type.
        settings: Of the model that was exported, which knows no leak.
        metrics: ``{task}.metrics`` of the run that trained it.
        measured: What ``measure`` found; the scorer first.
        data_report: Of the data it was trained on.
    """
    without_leak = metrics["without_leak"] or {name: metrics[name] for name in ("auc", "auc_interval")}
    return (
        templates(autoescape=False)
        .get_template("model_card.md.j2")
        .render(
            task=task,
            settings=settings,
            metrics=metrics,
            without_leak=without_leak,
            measured=measured,
            data=data_report,
        )
    )
