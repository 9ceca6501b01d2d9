"""Numbers, tables and sentences as pages show them; what needs no computing stands in the templates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

from mmctr_kedro.common.params import leaves
from mmctr_kedro.common.words import percent as percent  # a filter of the templates too

Metrics = dict[str, Any]
Rows = list[dict[str, Any]]

LABELS = {"task1": "Task 1", "task2": "Task 2", "task1_and_2": "Task 1 & 2"}
NAMES = {
    "task1": "multimodal item embedding, judged by the fixed DIN",
    "task2": "CTR prediction on the provided embedding",
    "task1_and_2": "our embedding and our CTR model",
}
CEILINGS = {
    "posterior_without_taste": "popularity and the row's levels known",
    "posterior": "the user's taste known too",
    "posterior_without_levels": "taste and popularity known, without the row's levels",
}
PIECES = {  # of a model that is a sum: its name, and what it asks
    "taste": ("taste", "do title, cover and tags go with what the user clicked before?"),
    "levels": ("levels", "are the likes and views levels that the row carries this item's own? The leak"),
    "record": ("record", "is the item clicked more often than others like it?"),
    "popularity": ("popularity", "are items with this item's levels clicked more often?"),
    "co_clicks": ("co-clicks", "is it clicked by those who clicked the same items?"),
}
KINDS = {  # of rows worth a look
    "missed_clicks": "Clicks it thought least likely",
    "false_hopes": "Skipped rows it was surest of",
    "found_clicks": "Clicks it was rightly surest of",
    "passed_over": "Skipped rows it rightly thought least likely",
}
MOST = 40  # entries of one object that a page shows


def about_ceilings(metrics: Metrics) -> str:
    """The best AUCs that can be reached, by what is known; empty where nobody knows them."""
    ceilings = metrics["ceilings"]
    if ceilings is None or None in ceilings.values():
        return ""
    said = "; ".join(f"{ceilings[name]:.4f} with {words}" for name, words in CEILINGS.items())
    return f"The best AUCs that this world's maker reaches on the valid rows: {said}."


def about_slices(slices: Rows, what: str) -> str:
    """The weakest and the strongest bucket, and whether noise could explain the difference.

    The ends of many equal buckets lie apart by chance: two count as different where fewer than one in twenty tables of
    equal ones would have such a pair (Bonferroni over all pairs; standard errors from the intervals' facing halves).
    """
    known = [entry for entry in slices if entry["auc_interval"]]
    if len(known) < 2:
        return "There are too few rows to compare buckets."
    low, *_, high = sorted(known, key=lambda entry: entry["auc"])
    half = math.hypot(low["auc_interval"][1] - low["auc"], high["auc"] - high["auc_interval"][0])
    pairs, errors = math.comb(len(known), 2), NormalDist().inv_cdf
    if high["auc"] - low["auc"] > half * errors(1 - 0.025 / pairs) / errors(0.975):
        verdict = (
            f"That is more than noise: of {len(known)} equal buckets, two lie so far apart in fewer than 5% of tables."
        )
    else:
        verdict = f"Noise may explain it: of {len(known)} equal buckets, two may well lie so far apart."
    return (
        f"AUC is lowest at {low['bucket']} {what}, {auc(low, 3)}, and highest at {high['bucket']}, {auc(high, 3)}. "
        f"{verdict}"
    )


def way_to(best: float | None, auc: float | None) -> float | None:
    """How far an AUC has come from chance to the best reachable one; None where that is not known."""
    if auc is None or best is None or best <= 0.5:
        return None
    return (auc - 0.5) / (best - 0.5)


def in_pieces(said: dict[str, float]) -> list[tuple[str, str, float]]:
    """What pieces say of a row: name, question and log-odds of each, in the order of ``PIECES``, unknown ones last."""
    order = list(PIECES)
    names = sorted(said, key=lambda name: order.index(name) if name in order else len(order))
    return [(*PIECES.get(name, (words(name), "")), said[name]) for name in names]


def above_chance(auc: float | None) -> str:
    """Where an AUC lies between 0.5 and 1, as a CSS length; nowhere if it is None."""
    return "none" if auc is None else f"{min(1.0, max(0.0, (auc - 0.5) / 0.5)):.2%}"


def auc(entry: Mapping[str, Any], digits: int = 4) -> str:
    """The AUC of a task or a slice and its 95% interval, as in ``0.7884 (0.7715 to 0.8050)``."""
    return with_interval(entry["auc"], entry["auc_interval"], digits)


def with_interval(value: float | None, interval: list[float] | None, digits: int = 4) -> str:
    """A measure and its interval, where there is one."""
    between = "" if interval is None else f" ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"
    return form(value, f".{digits}f") + between


def form(value: float | None, spec: str) -> str:
    """``format``, with a dash for None."""
    return "–" if value is None else format(value, spec)


def show(value: Any) -> str:
    """A value as a reader wants it: thousands grouped, four digits or decimals, None as a dash, lists cut."""
    if isinstance(value, list):
        shown = " · ".join(map(show, value[:12])) or "none"
        return shown if len(value) <= 12 else f"{len(value):,}: {shown} · …"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return f"{int(value):,}"
        digits = 4 - math.ceil(math.log10(abs(value))) if abs(value) >= 1 else 4
        return f"{value:,.{max(0, digits)}f}" if abs(value) >= 1e-3 else f"{value:.3g}"
    return "–" if value is None else str(value)


def words(name: str) -> str:
    """A key as words."""
    return name.replace("_", " ").replace("auc", "AUC")


def tables(data: Mapping[str, Any], heading: str = "") -> list[tuple[str, Rows]]:
    """Nested JSON as tables, each with a heading: plain facts, lists of objects, objects of the same facts together."""
    plain: dict[str, Any] = {}
    alike: dict[tuple[str, ...], dict[str, Any]] = {}
    lists: list[tuple[str, Rows]] = []
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            alike.setdefault(tuple(_flat(value)), {})[key] = value
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            lists.append((_place(heading, key), [_flat(entry) for entry in value[:MOST]]))
        else:
            plain[words(key)] = value
    facts = [{"": name, " ": value} for name, value in list(plain.items())[:MOST]]
    if len(plain) > MOST:
        facts.append({"": "…", " ": f"{len(plain) - MOST:,} more"})
    found = [(heading, facts)] if facts else []
    for places, group in alike.items():
        of = {words(key): _flat(value) for key, value in group.items()}
        if len(group) == 1:
            [(key, value)] = group.items()
            found += tables(value, _place(heading, key))
        elif len(places) > len(group):  # a column each
            found.append((heading, [{"": fact} | {name: flat[fact] for name, flat in of.items()} for fact in places]))
        else:
            found.append((heading, [{"": name} | flat for name, flat in of.items()]))
    return found + lists


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """A nested object as one, its facts by their place."""
    return {words(place): value for place, value in leaves(data, dot=" · ")}


def _place(above: str, key: str) -> str:
    return f"{above} · {words(key)}" if above else words(key)
