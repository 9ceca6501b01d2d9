"""What the report says about its numbers, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from mmctr_kedro.common.params import TrainingControls

Metrics = dict[str, Any]

LABELS = {"task1": "Task 1", "task2": "Task 2", "task1_and_2": "Task 1 & 2"}
NAMES = {
    "task1": "multimodal item embedding, judged by the fixed DIN",
    "task2": "CTR prediction on the provided embedding",
    "task1_and_2": "our embedding and our CTR model",
}


def what_tasks_are(tasks: Iterable[str]) -> str:
    """Each task in half a sentence."""
    return " ".join(f"{LABELS[task]}: {NAMES[task]}." for task in tasks)


def way_to_best(metrics: Metrics) -> float | None:
    """How far the AUC has come from chance to the best reachable one; None where that is not known."""
    best = metrics["best_reachable_auc"]
    if metrics["auc"] is None or best is None or best <= 0.5:
        return None
    return (metrics["auc"] - 0.5) / (best - 0.5)


def about_auc(metrics: Metrics) -> str:
    """What the AUC means and how sure it is."""
    if metrics["auc"] is None:
        return "The valid rows hold only one class, so no AUC can be computed."
    said = f"In {metrics['auc']:.1%} of pairs of a clicked and a skipped valid row the click is ranked first."
    way = way_to_best(metrics)
    if way is None:
        said += " The best reachable AUC of this data is not known."
    else:
        said += (
            f" Knowing this world's true probabilities would give {metrics['best_reachable_auc']:.1%}, a coin"
            f" 50%: the model has gone {way:.0%} of the way."
        )
    if metrics["auc_standard_error"] is not None:
        said += (
            f" With {metrics['rows']:,} rows one standard error is {metrics['auc_standard_error']:.4f};"
            " differences of that size between two models mean nothing unless they are compared row by row."
        )
    return said


CEILINGS = {
    "posterior_without_taste": "popularity and the row's levels known",
    "posterior": "the user's taste known too",
    "posterior_without_levels": "taste and popularity known, without the row's levels",
}


def about_leak(metrics: Metrics) -> str:
    """What is left of the AUC without the levels' leak; empty where nothing leaks."""
    left = metrics["without_leak"]
    if left is None or left["auc"] is None:
        return ""
    said = f"Without the levels' leak {left['auc']:.4f} is left ({left['how']}): what the model is worth in use."
    ceilings = metrics["ceilings"]
    if ceilings is not None and ceilings["posterior_without_levels"] is not None:
        said += f" Without it at most {ceilings['posterior_without_levels']:.4f} can be reached in this world."
    return said


def about_ceilings(metrics: Metrics) -> str:
    """The best AUCs that can be reached, by what is known; empty where nobody knows them."""
    ceilings = metrics["ceilings"]
    if ceilings is None or None in ceilings.values():
        return ""
    said = "; ".join(f"{ceilings[name]:.4f} with {words}" for name, words in CEILINGS.items())
    return f"The best AUCs that this world's maker reaches on the valid rows: {said}."


def about_compared(metrics: Metrics) -> str:
    """How many pieces of the model earned their place; empty where none had to."""
    compared = metrics["compared"]
    if not compared:
        return ""
    kept = [entry["piece"] for entry in compared if entry["kept"]]
    return (
        f"Beside taste, {len(compared)} pieces of the model had to earn their place: trained with and without each,"
        " a piece is kept where the valid AUC gains more than two standard errors (paired, by users)."
        f" Kept: {', '.join(kept) or 'none'}."
    )


def about_tasks(metrics: dict[str, Metrics]) -> str:
    """All tasks' AUCs in one sentence, best first, and whether noise could explain their order."""
    known = {task: of for task, of in metrics.items() if of["auc"] is not None}
    ranked = sorted(known, key=lambda task: -known[task]["auc"])
    if not ranked:
        return "The valid rows hold only one class, so no AUC can be computed."
    said = "Valid AUC is " + ", ".join(f"{known[task]['auc']:.4f} for {LABELS[task]}" for task in ranked) + "."
    best = known[ranked[0]]["best_reachable_auc"]
    return said + (f" The best reachable AUC of this world is {best:.4f}." if best is not None else "")


def about_best(metrics: Metrics) -> str:
    """How to read the columns of the comparison."""
    said = "±: one standard error of the AUC (DeLong), rows taken as independent. "
    if metrics["best_reachable_auc"] is not None:
        said += (
            "Best reachable: the AUC of the true click probabilities, which only the world's maker knows;"
            " of the way: where the AUC lies between chance (0.5) and that. "
        )
    return (
        said + "GAUC: AUC within users. Unseen: AUC of the rows whose item no train row has."
        " Calibration: mean distance of prediction and share of clicks over bins of equal size."
    )


def about_training(metrics: Metrics, settings: TrainingControls | None = None) -> str:
    """How far training went and why it ended."""
    epochs, kept = metrics["epochs"], metrics["best_epoch"]
    said = f"Training ran {epochs} epoch{'s' if epochs != 1 else ''}; epoch {kept} had the best valid AUC,"
    said += " and its weights were kept."
    if settings is not None and epochs >= settings.epochs and kept == epochs:
        said += " The last epoch was the best one: more epochs may still gain."
    return said


def about_calibration(metrics: Metrics) -> str:
    """Whether predictions can be read as probabilities."""
    predicted, clicked = metrics["mean_prediction"], metrics["click_share"]
    said = f"The mean prediction is {predicted:.1%}, the share of clicks {clicked:.1%}"
    if metrics["predicted_per_click"] is not None:
        said += f": {metrics['predicted_per_click']:.2f} predicted clicks for each one made"
    return (
        f"{said}. Over bins of equal size they differ by {metrics['calibration_error']:.1%} on average (expected"
        " calibration error). The challenge judges order alone, so this costs no AUC."
    )


def about_gauc(metrics: Metrics) -> str:
    """How well rows of one user are ranked among themselves."""
    if metrics["gauc"] is None:
        return "No user of the valid rows has both a click and another row, so there is no AUC within users."
    return (
        f"Among the rows of one user alone the AUC is {metrics['gauc']:.4f} (GAUC: mean over the"
        f" {metrics['gauc_users']:,} users with both a click and another row, weighted by their rows, which are"
        f" {metrics['gauc_rows_share']:.1%} of all)."
    )


def about_slices(slices: list[dict[str, Any]], what: str) -> str:
    """The weakest and the strongest bucket, and whether noise could explain the difference."""
    # Buckets of a handful of clicks are the extremes by chance alone.
    known = [entry for entry in slices if entry["auc_standard_error"] and entry["clicks"] >= 20]
    if len(known) < 2:
        return "There are too few rows to compare buckets."
    low, high = min(known, key=_auc), max(known, key=_auc)
    noise = math.hypot(low["auc_standard_error"], high["auc_standard_error"])
    verdict = "more than" if _auc(high) - _auc(low) > 3 * noise else "no more than"
    return (
        f"AUC is lowest at {low['bucket']} {what} ({_auc(low):.3f}) and highest at {high['bucket']}"
        f" ({_auc(high):.3f}), {verdict} noise explains (standard error of the difference: {noise:.3f})."
    )


def about_unseen(metrics: dict[str, Metrics]) -> str:
    """How well each task ranks items that training never saw."""
    found = {task: of["auc_unseen_items"] for task, of in metrics.items()}
    first, rows = next(iter(found.values())), next(iter(metrics.values()))["rows"]
    if not first["rows"]:
        return "Every item of the valid rows occurs in train."
    said = f"{first['rows']:,} valid rows ({first['rows'] / rows:.1%}) show an item that no train row has"
    if first["auc"] is None:
        return said + "; they hold only one class, so they have no AUC."
    scores = [_with_error(entry) + (f" for {LABELS[task]}" if len(found) > 1 else "") for task, entry in found.items()]
    return f"{said}; their AUC is {', '.join(scores)}."


def about_test(metrics: Metrics) -> str:
    """What is known of the test rows: their number, never their labels."""
    unseen = metrics["test_rows_with_unseen_item"]
    share = unseen / max(1, metrics["test_rows"])
    return (
        f"The {metrics['test_rows']:,} test rows are predicted for the submission and never evaluated here;"
        f" {unseen:,} of them ({share:.1%}) show an item that no train row has."
    )


def about_covers(cover_report: dict[str, Any]) -> str:
    """How many covers gave a vector, and why the others did not."""
    gaps = ", ".join(f"{cover_report[kind]['count']:,} {kind}" for kind in ("missing", "unreadable", "tiny"))
    encoded, items = cover_report["encoded"], cover_report["items"]
    return f"{encoded:,} of {items:,} items have a cover that could be encoded; of the others: {gaps}."


def about_rules(rules: list[dict[str, Any]]) -> str:
    """How many rules of the challenge held."""
    held = sum(entry["held"] for entry in rules)
    return f"{held} of {len(rules)} rules held. A submission that breaks one is refused, or marked for research."


def about_unofficial(metrics: dict[str, Metrics]) -> str:
    """Which tasks' results are not for submission and why; empty where all are."""
    several = len(metrics) > 1
    marked = [
        (f"{LABELS[task]}: " if several else "") + ", ".join(of["not_submittable"])
        for task, of in metrics.items()
        if of["not_submittable"]
    ]
    return f"Not submittable. {'; '.join(marked)}." if marked else ""


def duration(seconds: float) -> str:
    """``"41 s"``, ``"3 min 5 s"``, ``"2 h 14 min"``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _with_error(entry: dict[str, Any]) -> str:
    error = entry["auc_standard_error"]
    return f"{entry['auc']:.3f}" + (f" ± {error:.3f}" if error is not None else "")


def _auc(entry: dict[str, Any]) -> float:
    return float(entry["auc"])
