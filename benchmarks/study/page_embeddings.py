"""The part of docs/results.md about item embeddings: the fixed DIN's AUC beside the scorecard, and how they agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.study.words import commit_of, compared_table, listed, spread, table, verdict

Results = dict[str, Any]
Card = dict[str, Any]

# Measures of the scorecard, in the order of the page; a number that is better when smaller is not among them.
MEASURES: dict[str, Callable[[Card], float | None]] = {
    "next item recall@10": lambda card: card["next_item"]["all"]["recall_at_10"],
    "next item recall@100": lambda card: card["next_item"]["all"]["recall_at_100"],
    "next item MRR": lambda card: card["next_item"]["all"]["mrr"],
    "co-click recall@10": lambda card: card["co_click"]["all"]["recall_at_10"],
    "co-click recall@100": lambda card: card["co_click"]["all"]["recall_at_100"],
    "co-click MRR": lambda card: card["co_click"]["all"]["mrr"],
    "neighbours share a tag": lambda card: card["tags"]["neighbours_share_a_tag"],
    "effective rank": lambda card: card["geometry"]["effective_rank"],
    "isotropy": lambda card: card["geometry"]["isotropy"],
}
SHOWN = (
    "next item recall@10",
    "next item recall@100",
    "co-click recall@100",
    "neighbours share a tag",
    "effective rank",
)


def verdicts(results: Results) -> list[str]:
    """The section in a line or two, for the top of the page."""
    about = results.get("embeddings")
    if not about:
        return []
    lines = [verdict(comparison, "the fixed DIN on {}") for comparison in about["comparisons"]]
    best = _best_measure(results)
    return lines + ([best] if best else [])


def section(results: Results) -> str:
    about = results.get("embeddings")
    if not about:
        return ""
    budget = about["budget"]
    settings = ", ".join(f"{key} {value}" for key, value in about["settings"].items())
    lines = [
        "## Item embeddings under the fixed DIN",
        "",
        "Every variant of the embedding ([embedding.md](embedding.md)) trains the organisers' DIN with "
        f"{settings}; at most {budget['epochs']} epochs, stopped after {budget['patience']} without a better valid AUC "
        f"or after {budget['cpu_seconds']:.0f} CPU seconds. Valid AUC is mean ± standard deviation over seeds "
        f"{listed(about['seeds'])} of the DIN; an embedding is made once. `.text` and `.image` are the same fusion of "
        "one modality alone. The other columns are of the scorecard, which trains no CTR model: recall of the next "
        "item and of the next click after one item, and the share of neighbours with a tag in common.",
    ]
    for name, cards in about["cards"].items():
        rows = [row for card in cards if (row := _row(results, name, card))]
        lines += ["", f"### {results['data'][name]['title']}", ""]
        lines += [table(["embedding", "valid AUC", *SHOWN, "made in"], rows) if rows else "No run is finished."]
    compared = about["comparisons"]
    if compared:
        lines += ["", compared_table(compared)]
    lines += ["", *_frozen(about), "", *_correlations(results)]
    return "\n".join(lines).rstrip()


def _row(results: Results, data: str, card: Card) -> list[str]:
    aucs = valid_aucs(results, data, card["embedding"])
    if not aucs:
        return []
    seeds = results["embeddings"]["seeds"]
    few = f" ({len(aucs)} of {len(seeds)} seeds)" if len(aucs) < len(seeds) else ""
    measures = [MEASURES[name](card["scorecard"]) for name in SHOWN]
    shown = ["-" if value is None else f"{value:.1f}" if value > 1 else f"{value:.3f}" for value in measures]
    return [f"`{card['embedding']}`{few}", spread(aucs), *shown, f"{card['seconds']:.0f} s"]


def valid_aucs(results: Results, data: str, embedding: str) -> list[float]:
    """The fixed DIN's valid AUC on an embedding, by seed; of the seeds that every embedding has."""
    seeds = results["embeddings"]["seeds"]
    return [
        run["valid"]["auc"]
        for run in results["runs"]
        if (run["kind"], run["data"], run["embedding"]) == ("embedding", data, embedding) and run["seed"] in seeds
    ]


def _frozen(about: dict[str, Any]) -> list[str]:
    entries = [
        f"Test rows of the two were scored once, {entry['when']}: {entry['runs']} runs, choices `{entry['choices']}`, "
        f"commit {commit_of(entry)}" + (f"; **scored again**: {entry['again']}" if entry["again"] else "") + "."
        for entry in about["frozen"]
    ]
    return entries or ["No test row was scored for embeddings; their order is by valid AUC."]


# --- does the scorecard tell -----------------------------------------------------------------------------


def rank_correlations(results: Results, data: str, alone: bool = True) -> dict[str, tuple[float | None, int]]:
    """Spearman's correlation of each measure with the mean valid AUC over embeddings, and how many these are.

    Args:
        alone: Count embeddings of one modality alone too.
    """
    from scipy.stats import spearmanr

    found: dict[str, tuple[float | None, int]] = {}
    for name, measure in MEASURES.items():
        points = [
            (value, float(np.mean(aucs)))
            for card in results["embeddings"]["cards"][data]
            if (alone or "." not in card["embedding"])
            and (aucs := valid_aucs(results, data, card["embedding"]))
            and (value := measure(card["scorecard"])) is not None
        ]
        measured, auc = np.array(points).reshape(-1, 2).T
        told = len(points) >= 3 and len(set(measured)) > 1 and len(set(auc)) > 1
        found[name] = (float(spearmanr(measured, auc).statistic) if told else None, len(points))
    return found


def _best_measure(results: Results) -> str:
    by_data = {name: rank_correlations(results, name) for name in results["embeddings"]["cards"]}
    means = {
        measure: float(np.mean(values))
        for measure in MEASURES
        if (values := [found[measure][0] for found in by_data.values() if found[measure][0] is not None])
        and len(values) == len(by_data)
    }
    if not means:
        return ""
    best = max(means, key=lambda name: means[name])
    each = ", ".join(f"{by_data[name][best][0]:.2f} on `{name}`" for name in by_data)
    return f"Of the scorecard, {best} orders embeddings most like the fixed DIN's valid AUC does: Spearman {each}."


def _correlations(results: Results) -> list[str]:
    names = list(results["embeddings"]["cards"])
    every = {name: rank_correlations(results, name) for name in names}
    fused = {name: rank_correlations(results, name, alone=False) for name in names}
    if not any(value is not None for found in every.values() for value, _ in found.values()):
        return []
    header = ["measure", *(text for name in names for text in (f"{name}, all", f"{name}, both modalities"))]
    rows = [
        [measure, *(_correlation(found[measure]) for name in names for found in (every[name], fused[name]))]
        for measure in MEASURES
    ]
    return [
        "### Which number to trust",
        "",
        "Spearman's rank correlation of a measure with the fixed DIN's mean valid AUC, over the embeddings above (how "
        "many in brackets). With so few points a correlation under about 0.6 may be chance.",
        "",
        table(header, rows),
    ]


def _correlation(found: tuple[float | None, int]) -> str:
    value, count = found
    return "-" if value is None else f"{value:+.2f} ({count})"
