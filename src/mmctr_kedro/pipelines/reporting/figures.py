"""The report's figures. Each takes the metrics or training histories of one task or of several to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmctr_kedro.pipelines.reporting.text import LABELS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = {
    "task1": "#1f5fa8",
    "task2": "#c4561a",
    "task1_and_2": "#2f7d4f",
}  # apart also for colour-blind eyes
MARKS = {"task1": "circle", "task2": "square", "task1_and_2": "diamond"}
_INK, _MUTED, _GRID = "#1f2933", "#6b7785", "#e6e9ed"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

NAMES = ("training_curves", "roc", "calibration", "auc_by_history_length", "auc_by_popularity")

Metrics = dict[str, Any]
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
    several = len(histories) > 1
    for task, history in histories.items():
        epoch = [entry["epoch"] for entry in history]
        name = LABELS[task] if several else "valid AUC"
        line = {"color": COLOURS[task], "width": 2.2}
        figure.add_scatter(
            x=epoch, y=[entry["valid_auc"] for entry in history], name=name, line=line, mode="lines+markers",
            marker={"size": 6, "symbol": MARKS[task]}, legendgroup=task, row=1, col=1,
        )  # fmt: skip
        kept = next((entry for entry in history if entry["epoch"] == metrics[task]["best_epoch"]), None)
        if kept:
            figure.add_scatter(
                x=[kept["epoch"]], y=[kept["valid_auc"]], name="kept epoch", mode="markers", legendgroup=task,
                marker={"size": 13, "symbol": "circle-open", "color": COLOURS[task], "line": {"width": 2}},
                showlegend=not several, row=1, col=1,
            )  # fmt: skip
        for key, dash in (("train_loss", "solid"), ("valid_logloss", "dot")):
            figure.add_scatter(
                x=epoch, y=[entry[key] for entry in history], mode="lines", line={**line, "dash": dash},
                name=key.replace("_", " "), legendgroup=task, showlegend=not several, row=2, col=1,
                hovertemplate=f"{LABELS[task]} {key.replace('_', ' ')} %{{y:.4f}}<extra></extra>",
            )  # fmt: skip
    figure.update_yaxes(title_text="valid AUC", tickformat=".3f", row=1, col=1)
    figure.update_yaxes(title_text="loss" + (" (dots: valid)" if several else ""), row=2, col=1)
    most = max((len(history) for history in histories.values()), default=1)
    figure.update_xaxes(title_text="epoch", dtick=max(1, -(-most // 12)), row=2, col=1)
    figure.update_xaxes(dtick=max(1, -(-most // 12)), row=1, col=1)
    return _styled(figure, height=460)


def roc(metrics: dict[str, Metrics]) -> Figure:
    """Share of clicks found against share of non-clicks taken for clicks."""
    from plotly.graph_objects import Figure

    figure = Figure()
    _diagonal(figure, "chance")
    for task, values in metrics.items():
        if values["roc"]:
            figure.add_scatter(
                x=values["roc"]["false_positive_rate"], y=values["roc"]["true_positive_rate"], mode="lines",
                name=f"{LABELS[task]}, AUC {values['auc']:.4f}", line={"color": COLOURS[task], "width": 2.2},
            )  # fmt: skip
    figure.update_xaxes(title_text="non-clicks taken for clicks", range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title_text="clicks found", range=[0, 1.005], tickformat=".0%")
    return _styled(figure, height=420)


def calibration(metrics: dict[str, Metrics]) -> Figure:
    """Share of clicks against mean prediction, in bins of nearly equal size, with one standard error."""
    from plotly.graph_objects import Figure

    figure = Figure()
    _diagonal(figure, "perfect")
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
            name=f"{LABELS[task]}, error {values['expected_calibration_error']:.3f}",
        )  # fmt: skip
    limit = min(1.0, top * 1.05)
    figure.update_xaxes(title_text="mean prediction", range=[0, limit], tickformat=".0%")
    figure.update_yaxes(title_text="share clicked", range=[0, limit], tickformat=".0%")
    return _styled(figure, height=420)


def auc_by_history_length(metrics: dict[str, Metrics]) -> Figure:
    """AUC of valid rows by clicks in the history, beside the best reachable."""
    return _auc_by(metrics, "history_length", "clicks in the history")


def auc_by_popularity(metrics: dict[str, Metrics]) -> Figure:
    """AUC of valid rows by clicks on the target item in train, beside the best reachable."""
    return _auc_by(metrics, "popularity", "clicks on the item in train")


def _auc_by(metrics: dict[str, Metrics], slice_name: str, title: str) -> Figure:
    from plotly.graph_objects import Figure

    figure = Figure()
    first = next(iter(metrics.values()))["slices"][slice_name]
    buckets = [entry["bucket"] for entry in first]
    if any(entry["best_reachable_auc"] is not None for entry in first):
        figure.add_scatter(
            x=buckets, y=[entry["best_reachable_auc"] for entry in first], mode="markers", name="best reachable",
            marker={"symbol": "line-ew", "size": 26, "line": {"color": _MUTED, "width": 2.5}},
        )  # fmt: skip
    for task, values in metrics.items():
        entries = values["slices"][slice_name]
        figure.add_scatter(
            x=[entry["bucket"] for entry in entries], y=[entry["auc"] for entry in entries],
            error_y=_error_bars([entry["auc_standard_error"] for entry in entries]), mode="markers",
            marker={"size": 9, "symbol": MARKS[task], "color": COLOURS[task]}, name=LABELS[task],
            customdata=[[entry["rows"], entry["clicks"]] for entry in entries],
            hovertemplate="AUC %{y:.4f}<br>%{customdata[0]} rows, %{customdata[1]} clicks",
        )  # fmt: skip
    figure.add_hline(y=0.5, line={"color": _MUTED, "width": 1, "dash": "dot"})
    rows = [
        f"{name}<br><span style='color:{_MUTED}'>{entry['rows']:,}</span>"
        for name, entry in zip(buckets, first, strict=True)
    ]
    figure.update_xaxes(
        title_text=f"{title} (rows below)", type="category", tickvals=buckets, ticktext=rows, tickangle=0
    )
    figure.update_yaxes(title_text="AUC", tickformat=".2f")
    if len(metrics) > 1:
        figure.update_layout(scattermode="group", scattergap=0.6)
    return _styled(figure, height=380)


def _diagonal(figure: Figure, name: str) -> None:
    line = {"color": _MUTED, "width": 1, "dash": "dot"}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=line, name=name, hoverinfo="skip")


def _error_bars(error: list[float | None]) -> dict[str, Any]:
    return {"type": "data", "array": error, "thickness": 1.4, "width": 4}


def _styled(figure: Figure, height: int) -> Figure:
    figure.update_layout(
        template="none", height=height, margin={"l": 62, "r": 16, "t": 44, "b": 56},
        font={"family": _FONT, "size": 13, "color": _INK}, paper_bgcolor="white", plot_bgcolor="white",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "xanchor": "left"},
        hoverlabel={"font": {"family": _FONT}},
    )  # fmt: skip
    axis = {
        "gridcolor": _GRID,
        "linecolor": "#b8c0c8",
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
    }
    figure.update_xaxes(tickcolor="#b8c0c8", **axis)
    figure.update_yaxes(tickcolor="#b8c0c8", **axis)
    return figure
