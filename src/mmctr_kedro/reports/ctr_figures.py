"""The report's figures. Each takes the metrics or training histories of one task or of several to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmctr_kedro.evaluation.slices import UNSEEN
from mmctr_kedro.reports.text import LABELS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = {
    "task1": "#1f5fa8",
    "task2": "#c4561a",
    "task1_and_2": "#2f7d4f",
}  # apart also for colour-blind eyes
MARKS = {"task1": "circle", "task2": "square", "task1_and_2": "diamond"}
INK, MUTED, GRID = "#1f2933", "#6b7785", "#e6e9ed"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

NAMES = ("training_curves", "roc", "calibration", "auc_by_history_length", "auc_by_popularity")

Metrics = dict[str, Any]
Slice = dict[str, Any]
History = list[dict[str, Any]]


def draw(metrics: dict[str, Metrics], histories: dict[str, History]) -> dict[str, Figure]:
    """All figures by name, of one task or of several laid over each other."""
    return {
        "training_curves": training_curves(histories, metrics),
        "roc": roc(metrics),
        "calibration": calibration(metrics),
        "auc_by_history_length": auc_by_history_length(metrics),
        "auc_by_popularity": auc_by_popularity(metrics),
    }


def training_curves(histories: dict[str, History], metrics: dict[str, Metrics]) -> Figure:
    """Valid AUC per epoch above train and valid loss, the epoch whose weights were kept marked."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.55, 0.45])
    several = len(histories) > 1  # then the legend names tasks, and a task's lines belong together in it
    for task, history in histories.items():
        epoch = [entry["epoch"] for entry in history]
        name = LABELS[task] if several else "valid AUC"
        line = {"color": COLOURS[task], "width": 2.2}
        group = task if several else None
        figure.add_scatter(
            x=epoch, y=[entry["valid_auc"] for entry in history], name=name, line=line, mode="lines+markers",
            marker={"size": 6, "symbol": MARKS[task]}, legendgroup=group, row=1, col=1,
        )  # fmt: skip
        kept = next((entry for entry in history if entry["epoch"] == metrics[task]["best_epoch"]), None)
        if kept:
            figure.add_scatter(
                x=[kept["epoch"]], y=[kept["valid_auc"]], name="kept", legendgroup=group, mode="markers",
                marker={"size": 13, "symbol": "circle-open", "color": COLOURS[task], "line": {"width": 2}},
                showlegend=not several, row=1, col=1,
            )  # fmt: skip
        for key, dash in (("train_loss", "solid"), ("valid_logloss", "dot")):
            figure.add_scatter(
                x=epoch, y=[entry[key] for entry in history], mode="lines", line={**line, "dash": dash},
                name=key.replace("_", " "), legendgroup=group, showlegend=not several, row=2, col=1,
                hovertemplate=f"{LABELS[task]} {key.replace('_', ' ')} %{{y:.4f}}<extra></extra>",
            )  # fmt: skip
    figure.update_yaxes(title_text="valid AUC", tickformat=".3f", row=1, col=1)
    figure.update_yaxes(title_text="loss" + (" (dots: valid)" if several else ""), row=2, col=1)
    most = max((len(history) for history in histories.values()), default=1)
    figure.update_xaxes(title_text="epoch", dtick=max(1, -(-most // 12)), row=2, col=1)
    figure.update_xaxes(dtick=max(1, -(-most // 12)), row=1, col=1)
    return styled(figure, height=460)


def roc(metrics: dict[str, Metrics]) -> Figure:
    """Share of clicks found against share of non-clicks taken for clicks."""
    from plotly.graph_objects import Figure

    figure = Figure()
    _diagonal(figure, "chance", limit=1)
    for task, values in metrics.items():
        if values["roc"]:
            figure.add_scatter(
                x=values["roc"]["false_positive_rate"], y=values["roc"]["true_positive_rate"], mode="lines",
                name=f"{LABELS[task]}: {values['auc']:.4f}", line={"color": COLOURS[task], "width": 2.2},
            )  # fmt: skip
    figure.update_xaxes(title_text="non-clicks taken for clicks", range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title_text="clicks found", range=[0, 1.005], tickformat=".0%")
    return styled(figure, height=420)


def calibration(metrics: dict[str, Metrics]) -> Figure:
    """Share of clicks against mean prediction, in bins of nearly equal size, with one standard error."""
    from plotly.graph_objects import Figure

    figure = Figure()
    top = 0.0
    for task, values in metrics.items():
        bins = values["calibration"]
        share = [bin_["click_share"] for bin_ in bins]
        error = [bin_["standard_error"] for bin_ in bins]
        predicted = [bin_["mean_prediction"] for bin_ in bins]
        top = max([top, *predicted, *(s + e for s, e in zip(share, error, strict=True))])
        figure.add_scatter(
            x=predicted, y=share, mode="lines+markers", line={"color": COLOURS[task], "width": 2.2},
            marker={"size": 8, "symbol": MARKS[task]}, error_y=_error_bars(error),
            name=LABELS[task],
        )  # fmt: skip
    limit = min(1.0, top * 1.05)
    _diagonal(figure, "perfect", limit)
    figure.update_xaxes(title_text="mean prediction", range=[0, limit], tickformat=".0%")
    figure.update_yaxes(title_text="share clicked", range=[0, limit], tickformat=".0%")
    return styled(figure, height=420)


def auc_by_history_length(metrics: dict[str, Metrics]) -> Figure:
    """AUC of valid rows by clicks in the history, beside the best reachable."""
    by_task = {task: of["auc_by_history_length"] for task, of in metrics.items()}
    return _auc_by(by_task, "clicks in the history")


def auc_by_popularity(metrics: dict[str, Metrics]) -> Figure:
    """AUC of tenths of the valid rows by clicks on the item in train, items not in train first."""
    by_task = {task: by_popularity(of) for task, of in metrics.items()}
    return _auc_by(by_task, "clicks on the item in train, tenths of the rows")


def by_popularity(metrics: Metrics) -> list[Slice]:
    """The slices by popularity, before them the items not in train if there are any."""
    unseen = metrics["auc_unseen_items"]
    return [*([{"bucket": UNSEEN, **unseen}] if unseen["rows"] else []), *metrics["auc_by_popularity_decile"]]


def _auc_by(by_task: dict[str, list[Slice]], title: str) -> Figure:
    """AUC per bucket and task; the buckets are the same for all tasks, as they judge the same rows."""
    from plotly.graph_objects import Figure

    figure = Figure()
    tasks = list(by_task)
    buckets = by_task[tasks[0]]
    if any(bucket["best_reachable_auc"] is not None for bucket in buckets):
        _ceiling(figure, [bucket["best_reachable_auc"] for bucket in buckets])
    for number, task in enumerate(tasks):
        entries = by_task[task]
        aside = 0.16 * (number - (len(tasks) - 1) / 2)  # tasks stand side by side within a bucket
        figure.add_scatter(
            x=[place + aside for place in range(len(entries))], y=[entry["auc"] for entry in entries],
            error_y=_error_bars([entry["auc_standard_error"] for entry in entries]), mode="markers",
            marker={"size": 9, "symbol": MARKS[task], "color": COLOURS[task]}, name=LABELS[task],
            customdata=[[entry["bucket"], entry["rows"], entry["clicks"]] for entry in entries],
            hovertemplate="%{customdata[0]}: AUC %{y:.4f}<br>%{customdata[1]} rows, %{customdata[2]} clicks",
        )  # fmt: skip
    figure.add_hline(y=0.5, line={"color": MUTED, "width": 1, "dash": "dot"})
    names = [f"{bucket['bucket']}<br><span style='color:{MUTED}'>{bucket['rows']:,}</span>" for bucket in buckets]
    figure.update_xaxes(
        title={"text": f"{title} (below: valid rows)", "standoff": 14}, range=[-0.6, len(buckets) - 0.4],
        tickvals=list(range(len(buckets))), ticktext=names, tickangle=0, showgrid=False,
    )  # fmt: skip
    lowest = min((low for entries in by_task.values() for low in _low_ends(entries)), default=0.5)
    figure.update_yaxes(title_text="AUC", tickformat=".2f", range=[max(0.0, min(0.48, lowest - 0.02)), 1])
    styled(figure, height=400)
    return figure.update_layout(margin_b=84)


def _ceiling(figure: Figure, best: list[float | None]) -> None:
    """A short level line above each bucket at its best reachable AUC."""
    gap = [(place - 0.36, place + 0.36, None) for place in range(len(best))]
    figure.add_scatter(
        x=[x for ends in gap for x in ends], y=[y for value in best for y in (value, value, None)],
        mode="lines", line={"color": "#aab4bf", "width": 3}, name="best reachable", hoverinfo="y",
    )  # fmt: skip


def _low_ends(slices: list[Slice]) -> list[float]:
    return [entry["auc"] - (entry["auc_standard_error"] or 0) for entry in slices if entry["auc"] is not None]


def _diagonal(figure: Figure, name: str, limit: float) -> None:
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=line, showlegend=False, hoverinfo="skip")
    place = 0.8 * limit
    figure.add_annotation(x=place, y=place, text=name, showarrow=False, yshift=-12, xanchor="left", font_color=MUTED)


def _error_bars(error: list[float | None]) -> dict[str, Any]:
    return {"type": "data", "array": error, "thickness": 1.4, "width": 4}


def styled(figure: Figure, height: int) -> Figure:
    """The common look: white, quiet axes, the legend above."""
    figure.update_layout(
        template="none", height=height, margin={"l": 62, "r": 28, "t": 44, "b": 56},
        font={"family": _FONT, "size": 13, "color": INK}, paper_bgcolor="white", plot_bgcolor="white",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "xanchor": "left"},
        hoverlabel={"font": {"family": _FONT}},
    )  # fmt: skip
    axis = {
        "gridcolor": GRID,
        "linecolor": "#b8c0c8",
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "automargin": True,
        "ticklen": 4,
    }
    figure.update_xaxes(tickcolor="#b8c0c8", **axis)
    figure.update_yaxes(tickcolor="#b8c0c8", title_standoff=10, **axis)
    return figure
