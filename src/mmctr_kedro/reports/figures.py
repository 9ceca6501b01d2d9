"""The figures of CTR models and of their data. Those of models take one task's metrics or several's to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmctr_kedro.common.params import TASKS
from mmctr_kedro.evaluation.slices import UNSEEN
from mmctr_kedro.reports.text import LABELS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Of Okabe & Ito (2008), apart for colour-blind eyes; and on grey paper by marks, dashes and hatching.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
COLOURS = dict(zip(TASKS, PALETTE, strict=False))
MARKS = {"task1": "circle", "task2": "square", "task1_and_2": "diamond"}
DASHES = {"task1": "solid", "task2": "dash", "task1_and_2": "dashdot"}
SPLIT_COLOURS = {"train": "#8a94a0", "valid": "#0072B2", "test": "#E69F00"}
SPLIT_MARKS = {"train": "square", "valid": "circle"}
SPLIT_HATCHING = {"train": "", "valid": "/", "test": "."}
IN_ERRORS = 1.96  # standard errors that reach to the end of a 95% interval
INK, MUTED, GRID, AXIS = "#1f2933", "#6b7785", "#e6e9ed", "#b8c0c8"
DOTS = {"color": MUTED, "width": 1, "dash": "dot"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_SIGNALS = {  # those drawn, lowest first
    "views_level_click_rate": "click rate<br>of the views level",
    "likes_level_click_rate": "click rate<br>of the likes level",
    "item_train_rows": "the item's rows<br>in train",
    "item_history_clicks": "the item's clicks<br>in train's histories",
    "item_click_rate": "the item's click rate<br>in train",
}

NAMES = ("training_curves", "roc", "calibration", "auc_by_history_length", "auc_by_popularity")

Metrics = dict[str, Any]
Slice = dict[str, Any]
History = list[dict[str, Any]]


def draw_figures(metrics: Metrics, training_history: History) -> list[Any]:
    """The figures of one task in the order of ``NAMES``."""
    return list(draw({metrics["task"]: metrics}, {metrics["task"]: training_history}).values())


def draw(metrics: dict[str, Metrics], histories: dict[str, History]) -> dict[str, Figure]:
    """All figures by name, in the order of ``NAMES``, of one task or of several laid over each other."""
    by_length, by_popularity = slices(metrics).values()
    return {
        "training_curves": training_curves(histories, metrics),
        "roc": roc(metrics),
        "calibration": calibration(metrics),
        "auc_by_history_length": _auc_by(by_length, "clicks in the history"),
        "auc_by_popularity": _auc_by(by_popularity, "clicks on the item in train"),
    }


def slices(metrics: dict[str, Metrics]) -> dict[str, dict[str, list[Slice]]]:
    """By what the rows are sliced, the slices of every task; the items not in train, if any, before the others."""
    by_popularity = {}
    for task, of in metrics.items():
        unseen = {"bucket": UNSEEN, **of["auc_unseen_items"]}
        by_popularity[task] = [unseen] * bool(unseen["rows"]) + of["auc_by_popularity_decile"]
    by_length = {task: of["auc_by_history_length"] for task, of in metrics.items()}
    return {"clicks in the history": by_length, "clicks on the item in train": by_popularity}


def blank(height: int, rows: int = 1) -> Figure:
    """A figure of the common look: white, quiet axes, the legend above; ``rows`` of plots over one x axis."""
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=rows, shared_xaxes=True, vertical_spacing=0.08)
    figure.update_layout(
        template="none", height=height, margin={"l": 62, "r": 28, "t": 44, "b": 56},
        font={"family": _FONT, "size": 13, "color": INK}, paper_bgcolor="white", plot_bgcolor="white",
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "xanchor": "left"},
        hoverlabel={"font": {"family": _FONT}},
    )  # fmt: skip
    axis = {"gridcolor": GRID, "linecolor": AXIS, "zeroline": False, "showline": True, "automargin": True}
    ticks = {"ticks": "outside", "tickcolor": AXIS, "ticklen": 4}
    figure.update_xaxes(**axis, **ticks)
    return figure.update_yaxes(title_standoff=10, **axis, **ticks)


def training_curves(histories: dict[str, History], metrics: dict[str, Metrics]) -> Figure:
    """Valid AUC per epoch above train and valid loss, the epoch whose weights were kept marked."""
    figure = blank(height=460, rows=2)
    several = len(histories) > 1  # then the legend names tasks, and a task's lines belong together in it
    for task, history in histories.items():
        epoch = [entry["epoch"] for entry in history]
        line = {"color": COLOURS[task], "width": 2.2}
        group = {"legendgroup": task if several else None, "col": 1}
        figure.add_scatter(
            x=epoch, y=[entry["valid_auc"] for entry in history], name=LABELS[task] if several else "valid AUC",
            mode="lines+markers", line=line | {"dash": DASHES[task]}, marker={"size": 6, "symbol": MARKS[task]}, row=1,
            **group,
        )  # fmt: skip
        kept = [entry for entry in history if entry["epoch"] == metrics[task]["best_epoch"]]
        figure.add_scatter(
            x=[entry["epoch"] for entry in kept], y=[entry["valid_auc"] for entry in kept], name="kept",
            mode="markers", marker={"size": 13, "symbol": "circle-open", "color": COLOURS[task], "line": {"width": 2}},
            showlegend=not several, row=1, **group,
        )  # fmt: skip
        for key, name, dash in (("train_loss", "train loss", "solid"), ("valid_logloss", "valid logloss", "dot")):
            figure.add_scatter(
                x=epoch, y=[entry[key] for entry in history], name=name, mode="lines+markers",
                line={**line, "dash": dash}, marker={"size": 5, "symbol": MARKS[task]},
                hovertemplate=f"{LABELS[task]} {name} %{{y:.4f}}<extra></extra>", showlegend=not several, row=2,
                **group,
            )  # fmt: skip
    figure.update_yaxes(title_text="valid AUC", tickformat=".3f", row=1)
    figure.update_yaxes(title_text="loss" + (" (dots: valid)" if several else ""), row=2)
    most = max((len(history) for history in histories.values()), default=1)
    figure.update_xaxes(dtick=max(1, -(-most // 12)))
    return figure.update_xaxes(title_text="epoch", row=2)


def roc(metrics: dict[str, Metrics]) -> Figure:
    """Share of clicks found against share of non-clicks taken for clicks."""
    figure = _with_diagonal("chance", limit=1)
    for task, values in metrics.items():
        if values["roc"]:
            figure.add_scatter(
                x=values["roc"]["false_positive_rate"], y=values["roc"]["true_positive_rate"], mode="lines",
                name=f"{LABELS[task]}: {values['auc']:.4f}",
                line={"color": COLOURS[task], "width": 2.2, "dash": DASHES[task]},
            )  # fmt: skip
    figure.update_xaxes(title_text="non-clicks taken for clicks")
    return figure.update_yaxes(title_text="clicks found", range=[0, 1.005])


def calibration(metrics: dict[str, Metrics]) -> Figure:
    """Share of clicks against mean prediction, in bins of nearly equal size, with its 95% interval."""
    bins = [bin_ for values in metrics.values() for bin_ in values["calibration"]]
    top = max(max(bin_["mean_prediction"], bin_["click_share"] + IN_ERRORS * bin_["standard_error"]) for bin_ in bins)
    figure = _with_diagonal("perfect", limit=min(1.0, top * 1.05))
    for task, values in metrics.items():
        predicted, clicked, error = (
            [bin_[key] for bin_ in values["calibration"]]
            for key in ("mean_prediction", "click_share", "standard_error")
        )
        figure.add_scatter(
            x=predicted, y=clicked, error_y=_error_bars(error), name=LABELS[task], mode="lines+markers",
            line={"color": COLOURS[task], "width": 2.2, "dash": DASHES[task]},
            marker={"size": 8, "symbol": MARKS[task]},
        )  # fmt: skip
    figure.update_xaxes(title_text="mean prediction")
    return figure.update_yaxes(title_text="share clicked")


def signals(data_diagnostics: dict[str, Any]) -> Figure:
    """AUC of things that know nothing of the user, in train and in valid, one line each."""
    found = data_diagnostics["signals"]
    figure = blank(height=330)
    for name, words in _SIGNALS.items():
        figure.add_scatter(
            x=[found[name][split]["auc"] for split in ("train", "valid")], y=[words] * 2, mode="lines",
            line={"color": "#cdd4db", "width": 5}, showlegend=False, hoverinfo="skip",
        )  # fmt: skip
    for split in ("train", "valid"):
        of = [found[name][split] for name in _SIGNALS]
        figure.add_scatter(
            x=[entry["auc"] for entry in of], y=list(_SIGNALS.values()), mode="markers", name=split,
            marker={"size": 12, "color": SPLIT_COLOURS[split], "symbol": SPLIT_MARKS[split],
                    "line": {"width": 1.5, "color": "white"}},
            error_x=_error_bars([entry["standard_error"] for entry in of]),
            hovertemplate=f"%{{y}}: AUC in {split} %{{x:.4f}}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=0.5, line=DOTS)
    figure.update_xaxes(title_text="AUC (0.5: tells nothing)", tickformat=".2f")
    return figure.update_yaxes(ticks="", showline=False, tickfont={"color": INK})


def history_lengths(data_diagnostics: dict[str, Any]) -> Figure:
    """Share of each split's rows by clicks in the history."""
    figure = blank(height=320)
    shares = {split: of["rows_by_history_length"] for split, of in data_diagnostics["splits"].items()}
    used = [bucket for bucket in shares["train"] if any(of[bucket] for of in shares.values())]
    for split, of in shares.items():
        figure.add_bar(
            x=used, y=[of[bucket] for bucket in used], name=split, marker_color=SPLIT_COLOURS[split],
            marker_pattern={"shape": SPLIT_HATCHING[split], "fillmode": "overlay", "fgcolor": "white"},
            hovertemplate=f"%{{x}} clicks: %{{y:.1%}} of {split} rows<extra></extra>",
        )  # fmt: skip
    figure.update_layout(bargap=0.3, bargroupgap=0.08)
    figure.update_yaxes(title_text="share of rows", tickformat=".0%")
    return figure.update_xaxes(title_text="clicks in the history", type="category", showgrid=False, ticks="")


def _auc_by(by_task: dict[str, list[Slice]], title: str) -> Figure:
    """AUC per bucket and task, beside the best reachable; the buckets are the same for all tasks."""
    figure = blank(height=400)
    buckets = next(iter(by_task.values()))
    best = [bucket["best_reachable_auc"] for bucket in buckets]
    if any(value is not None for value in best):  # a short level line above each bucket
        figure.add_scatter(
            x=[x for place in range(len(best)) for x in (place - 0.36, place + 0.36, None)],
            y=[y for value in best for y in (value, value, None)], mode="lines",
            line={"color": "#aab4bf", "width": 3}, name="best reachable", hoverinfo="y",
        )  # fmt: skip
    lowest = 0.5
    for number, (task, entries) in enumerate(by_task.items()):
        aside = 0.16 * (number - (len(by_task) - 1) / 2)  # tasks stand side by side within a bucket
        figure.add_scatter(
            x=[place + aside for place in range(len(entries))], y=[entry["auc"] for entry in entries],
            error_y=_intervals(entries), mode="markers", name=LABELS[task],
            marker={"size": 9, "symbol": MARKS[task], "color": COLOURS[task]},
            customdata=[[entry["bucket"], entry["rows"], entry["clicks"]] for entry in entries],
            hovertemplate="%{customdata[0]}: AUC %{y:.4f}<br>%{customdata[1]} rows, %{customdata[2]} clicks",
        )  # fmt: skip
        known = [entry for entry in entries if entry["auc"] is not None]
        lowest = min([lowest, *(min(entry["auc_interval"] or [entry["auc"]]) for entry in known)])
    figure.add_hline(y=0.5, line=DOTS)
    figure.update_xaxes(
        title={"text": title, "standoff": 14}, range=[-0.6, len(buckets) - 0.4], showgrid=False,
        tickvals=list(range(len(buckets))), ticktext=[bucket["bucket"] for bucket in buckets],
    )  # fmt: skip
    return figure.update_yaxes(title_text="AUC", tickformat=".2f", range=[max(0.0, min(0.48, lowest - 0.02)), 1.005])


def _with_diagonal(name: str, limit: float) -> Figure:
    """A square of shares up to ``limit``, where ``name`` is what a line along the diagonal would be."""
    figure = blank(height=420)
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=DOTS, showlegend=False, hoverinfo="skip")
    place = 0.8 * limit
    figure.add_annotation(x=place, y=place, text=name, showarrow=False, yshift=-12, xanchor="left", font_color=MUTED)
    figure.update_yaxes(range=[0, limit], tickformat=".0%")
    return figure.update_xaxes(range=[0, limit], tickformat=".0%")


def _error_bars(error: list[float | None]) -> dict[str, Any]:
    """95% intervals of measures with these standard errors."""
    ends = [None if one is None else IN_ERRORS * one for one in error]
    return {"type": "data", "array": ends, "thickness": 1.4, "width": 4}


def _intervals(entries: list[Slice]) -> dict[str, Any]:
    """The intervals of AUCs, which may reach further down than up."""
    pairs = [(entry["auc"], entry["auc_interval"]) for entry in entries]
    up, down = ([None if of is None else abs(of[end] - auc) for auc, of in pairs] for end in (1, 0))
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.4, "width": 4}
