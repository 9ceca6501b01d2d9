"""What a report says about the data: whether train and valid are drawn alike, and what the files hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmctr_kedro.reports.ctr_figures import GRID, INK, MUTED, styled
from mmctr_kedro.reports.page import bullets, details, figure_place, json_tables, paragraph, table

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Diagnostics = dict[str, Any]

SPLIT_COLOURS = {"train": "#9aa5b1", "valid": "#1f5fa8", "test": "#e0a458"}
_SIGNALS = {  # those drawn, lowest first
    "views_level_click_rate": "click rate of the views level",
    "likes_level_click_rate": "click rate of the likes level",
    "item_train_rows": "the item's rows in train",
    "item_history_clicks": "the item's clicks in train's histories",
    "item_click_rate": "the item's click rate in train",
}


def data_section(raw_files: dict[str, Any], data_report: dict[str, Any], data_diagnostics: Diagnostics) -> str:
    """The data's part of a page; its figures are ``data_figures``."""
    return "\n".join(
        [
            "<h2>How are the data drawn?</h2>",
            bullets((verdict["says"], verdict["alike"] is False) for verdict in data_diagnostics["verdicts"]),
            figure_place("signals"),
            paragraph(_about_thresholds(data_diagnostics["thresholds"]), "note"),
            figure_place("history_lengths"),
            details("The same in numbers", _numbers(data_diagnostics)),
            "<h2>Data</h2>",
            json_tables(raw_files),
            details("What data_processing found", json_tables(data_report)),
        ]
    )


def data_figures(data_diagnostics: Diagnostics) -> dict[str, Figure]:
    """The figures of ``data_section`` by name."""
    return {"signals": signals(data_diagnostics), "history_lengths": history_lengths(data_diagnostics)}


def signals(data_diagnostics: Diagnostics) -> Figure:
    """AUC of things that know nothing of the user, in train and in valid, one line each."""
    from plotly.graph_objects import Figure

    found = data_diagnostics["signals"]
    figure = Figure()
    for name, words in _SIGNALS.items():
        ends = [found[name][split]["auc"] for split in ("train", "valid")]
        if None not in ends:
            line = {"color": "#cdd4db", "width": 5}
            figure.add_scatter(x=ends, y=[words] * 2, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    for split in ("train", "valid"):
        of = [found[name][split] for name in _SIGNALS]
        figure.add_scatter(
            x=[entry["auc"] for entry in of], y=list(_SIGNALS.values()), mode="markers", name=split,
            marker={"size": 12, "color": SPLIT_COLOURS[split], "line": {"width": 1.5, "color": "white"}},
            error_x={"array": [entry["standard_error"] for entry in of], "thickness": 1.4, "width": 4},
            hovertemplate=f"%{{y}}: AUC in {split} %{{x:.4f}}<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=0.5, line={"color": MUTED, "width": 1, "dash": "dot"})
    figure.update_xaxes(title_text="AUC on train and on valid rows (0.5: tells nothing)", tickformat=".2f")
    styled(figure, height=330)
    return figure.update_yaxes(ticks="", showline=False, gridcolor=GRID, tickfont={"color": INK})


def history_lengths(data_diagnostics: Diagnostics) -> Figure:
    """Share of each split's rows by clicks in the history."""
    from plotly.graph_objects import Figure

    figure = Figure()
    shares = {split: of["rows_by_history_length"] for split, of in data_diagnostics["splits"].items()}
    used = [bucket for bucket in shares["train"] if any(of[bucket] for of in shares.values())]
    for split, of in shares.items():
        figure.add_bar(
            x=used, y=[of[bucket] for bucket in used], name=split, marker_color=SPLIT_COLOURS[split],
            hovertemplate=f"%{{x}} clicks: %{{y:.1%}} of {split} rows<extra></extra>",
        )  # fmt: skip
    figure.update_layout(bargap=0.3, bargroupgap=0.08)
    figure.update_xaxes(title_text="clicks in the history", type="category")
    figure.update_yaxes(title_text="share of rows", tickformat=".0%")
    styled(figure, height=320)
    return figure.update_xaxes(showgrid=False, ticks="")


def _about_thresholds(thresholds: dict[str, float]) -> str:
    return (
        "Nothing here knows the user. Valid rows are scored by all of train; train rows by the click rates of the other"
        " half of the users, as a row's own label would give it away. Bars are one standard error, rows taken as"
        " independent. A difference counts, between two AUCs or to 0.5, from"
        f" {thresholds['auc_difference']:g} and {thresholds['standard_errors']:g} standard errors on."
    )


def _numbers(found: Diagnostics) -> str:
    ends = [
        [_words(name), *(entry[split][key] for split in ("train", "valid") for key in ("auc", "standard_error"))]
        for name, entry in found["signals"].items()
    ]
    drawn = [[_words(name), entry["auc"], entry["standard_error"]] for name, entry in found["drawn"].items()]
    return "".join(
        [
            json_tables(found["splits"]),
            table(["AUC of", "train", "its s.e.", "valid", "its s.e."], ends),
            table(["AUC of telling one split's rows from the other's", "AUC", "s.e."], drawn),
            json_tables(found["levels"]),
            json_tables(found["whose_levels"]),
            json_tables(found["known_answers"]),
        ]
    )


def _words(name: str) -> str:
    return name.replace("_", " ")
