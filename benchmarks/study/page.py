"""docs/results.md, a function of benchmarks/results.json alone."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from benchmarks.study.words import commit_of, compared_table, listed, spread, table, verdict

Results = dict[str, Any]


def dump(results: Results) -> str:
    """results.json: one line per run, so that a change shows as one."""
    text = json.dumps({**results, "runs": []}, indent=1, allow_nan=False)
    runs = ",\n  ".join(json.dumps(run, allow_nan=False) for run in results["runs"])
    return text.replace('"runs": []', f'"runs": [\n  {runs}\n ]' if runs else '"runs": []', 1) + "\n"


def render(results: Results) -> str:
    """The page."""
    parts = [_opening(results), *(_data_set(results, name) for name in results["data"])]
    parts += [_settings(results), _protocol(results), _machine(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _opening(results: Results) -> str:
    missing = len(results["missing"])
    lines = [
        "# Results of the study",
        "",
        "Made by `make study` from `benchmarks/results.json`; do not edit. The table of "
        "choices is `benchmarks/study.yml`.",
    ]
    if missing:
        lines += ["", f"**Unfinished: {missing} of {missing + len(results['runs'])} runs are missing.**"]
    lines += ["", *(f"- {verdict(comparison)}" for comparison in results["comparisons"])]
    if results["notes"]:
        lines += ["", *(f"- {note}" for note in results["notes"])]
    return "\n".join(lines).rstrip()


# --- a data set ------------------------------------------------------------------------------------------


def _data_set(results: Results, name: str) -> str:
    about = results["data"][name]
    leaks = any(_runs(results, name, "leak_free", model) for model in results["models"])
    half = ["without the leak: valid", "test"] if leaks else []
    header = ["model", "valid AUC", "test AUC", *half, "test GAUC", "test logloss", "best epoch", "CPU s", "rows/CPU s"]
    rows = [row for model in results["models"] if (row := _model_row(results, name, model, leaks))]
    counts = ", ".join(f"{count:,} {split}" for split, count in about["rows"].items())
    lines = [
        f"## {about['title']}",
        "",
        f"{counts} rows; {about['users']['test']:,} users in test, {about['items']:,} items; embedding "
        f"`{about['embedding']}`.{_best(about)} Mean ± standard deviation over seeds "
        f"{listed(results['seeds'])}.",
        "",
        table([*header, "parameters"], rows) if rows else "No run is finished.",
    ]
    compared = [comparison for comparison in results["comparisons"] if comparison["data"] == name]
    if compared:
        lines += ["", compared_table(compared)]
    if leaks:
        lines += [
            "",
            "Without the leak: the same model trained and judged again on rows that carry their own item's levels.",
        ]
    lines += _pieces(results, name)
    return "\n".join(lines)


def _pieces(results: Results, name: str) -> list[str]:
    """What each piece of ours was worth on valid, and how often it was kept."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in _runs(results, name, "model", results["ours"]):
        for entry in run["compared"]:
            found.setdefault(entry["piece"], []).append(entry)
    if not found:
        return []
    rows = [
        [piece, spread([entry["gain"] for entry in of], plus=True), f"{sum(e['kept'] for e in of)} of {len(of)} seeds"]
        for piece, of in found.items()
    ]
    said = "What each piece gains on valid, trained with and without it; it is kept beyond two standard errors:"
    return ["", said, "", table(["piece", "valid AUC by it", "kept"], rows)]


def _best(about: dict[str, Any]) -> str:
    if about["best_valid_auc"] is None:
        return " The best reachable AUC is unknown."
    test = f", on test {about['best_test_auc']:.4f}" if about.get("best_test_auc") is not None else ""
    valid = f"on valid {about['best_valid_auc']:.4f}"
    known = about["ceilings"]
    others = (
        f" With popularity and the row's levels known, not taste, {known['posterior_without_taste']:.4f}"
        f" on valid; with taste and popularity, not the row's levels, {known['posterior_without_levels']:.4f}."
    )
    return f" The best AUC that any model can reach, by the world's own posterior: {valid}{test}.{others}"


def _model_row(results: Results, data: str, model: str, leaks: bool) -> list[str]:
    runs = _runs(results, data, "model", model)
    if not runs:
        return []
    scored = [run for run in runs if run["test"]]
    name = f"**`{model}`**" if model == results["ours"] else f"`{model}`"
    few = f" ({len(runs)} of {len(results['seeds'])} seeds)" if len(runs) < len(results["seeds"]) else ""
    caps = sum(run["stopped_by"] == "cap" for run in runs)
    auc, gauc, logloss = (spread([run["test"][m] for run in scored]) for m in ("auc", "gauc", "logloss"))
    left = _runs(results, data, "leak_free", model)
    half = [
        spread([run["valid"]["auc"] for run in left]),
        spread([run["test"]["auc"] for run in left if run["test"]]),
    ]
    return [
        name + few,
        spread([run["valid"]["auc"] for run in runs]),
        auc,
        *(half if leaks else []),
        gauc,
        logloss,
        f"{np.mean([run['best_epoch'] for run in runs]):.1f}" + (f" (cap met {caps}x)" if caps else ""),
        spread([run["cpu_seconds"] for run in runs], 0),
        f"{np.mean([run['rows_per_cpu_second'] for run in runs]):,.0f}",
        f"{runs[0]['parameters']:,}",
    ]


def _runs(results: Results, data: str, kind: str, label: str) -> list[dict[str, Any]]:
    return [run for run in results["runs"] if (run["data"], run["kind"], run["label"]) == (data, kind, label)]


# --- how it was done -------------------------------------------------------------------------------------


def _settings(results: Results) -> str:
    lines = []
    for data in results["data"]:
        for model in results["models"]:
            runs = _runs(results, data, "model", model)
            if runs:
                lines.append(f"- {data}, `{model}`: {_flat(runs[0]['settings'], results['budget'])}")
    if not lines:
        return ""
    return "\n".join(
        ["## Settings", "", "Chosen on valid rows; seed and budget apart, and without what is off:", "", *lines]
    )


def _flat(settings: dict[str, Any], budget: dict[str, Any]) -> str:
    own = {key: value for key, value in settings["model"].items() if key != "name"}
    training = {key: value for key, value in settings.items() if key not in {"model", "seed", "device", *budget}}
    shown = [f"{key} {value}" for key, value in {**training, **own}.items() if value not in (None, False, 0)]
    return ", ".join(shown)


def _protocol(results: Results) -> str:
    budget = results["budget"]
    every = f"every {budget['evaluate_every']} steps" if budget["evaluate_every"] else "after every epoch"
    lines = [
        "## How it was done",
        "",
        f"One budget for every training: at most {budget['epochs']} epochs, evaluated on valid {every}, stopped after "
        f"{budget['patience']} evaluations without a better valid AUC or after {budget['cpu_seconds']:,.0f} s of "
        "processor time in its steps (evaluations not counted); the weights of the best evaluation are kept.",
        "",
        "Models are trained on train, and every choice is made on valid. Test rows have no label in the data that "
        "training reads; scoring gets them from the world's seed or from the log. They are predicted and scored once, "
        "by the stored weights, after all trainings are finished and their settings frozen:",
        "",
    ]
    frozen = [
        f"- {entry['when']}: {entry['runs']} runs, choices `{entry['choices']}`, commit {commit_of(entry)}"
        + (f"; **scored again**: {entry['again']}" if entry["again"] else "")
        for entry in results["frozen"]
    ]
    lines += frozen or ["- not yet"]
    lines += [
        "",
        "An interval draws users again with replacement, each with all their rows, and seeds too, the same ones for "
        "both models; it runs from percentile 2.5 to 97.5 of the differences. AUC counts ties half; GAUC is the mean "
        "AUC within users.",
    ]
    return "\n".join(lines)


def _machine(results: Results) -> str:
    runs = results["runs"]
    if not runs:
        return ""
    kinds = dict.fromkeys(
        f"{run['machine']}; {run['threads']} thread(s) per training; "
        + ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        for run in runs
    )
    commits = dict.fromkeys(commit_of(run) for run in runs)
    caution = "CPU seconds are of all steps of a training; `make bench` measures speed."
    return "\n".join(
        ["## Machine", "", *(f"- {kind}" for kind in kinds), f"- commits {', '.join(commits)}", "", caution]
    )
