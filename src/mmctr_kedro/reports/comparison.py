"""Runs side by side: what differs between them, and whether their AUCs do, as a page and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.evaluation.bootstrap import LEAST_USERS, RESAMPLES, Drawn, Resamples
from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.evaluation.slices import Rows
from mmctr_kedro.reports.figures import DOTS, PALETTE, blank
from mmctr_kedro.reports.rendering import page
from mmctr_kedro.reports.terminal import table
from mmctr_kedro.submission.runs import Run, settings_that_differ, surroundings_that_differ

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MEASURES = ("valid AUC", "without the leak")  # in the order of ``Run.pctr``
INTERVALS = {"valid AUC": "95 % interval", "without the leak": "95 % interval "}  # columns, whose names must differ
ALL = ("all rows", "")  # the first "slice"
MOST = 12  # settings that the terminal shows


@dataclass(frozen=True)
class Difference:
    """Of one AUC, on all rows or on a slice: a run's minus the first one's, with its 95 % interval."""

    run: str
    measure: str
    slice: tuple[str, str]
    rows: int
    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return not self.low <= 0 <= self.high

    def row(self) -> dict[str, Any]:
        """As a table has it."""
        interval = f"{signed(self.low)} to {signed(self.high)}"
        where = {"": " ".join(self.slice[::-1]).strip(), "rows": self.rows, "measure": self.measure}
        return {**where, f"{self.run} - A": signed(self.value), "95 % interval": interval}


@dataclass(frozen=True)
class Comparison:
    """Runs, the first of which the others are compared with."""

    runs: list[dict[str, Any]]
    settings: list[dict[str, Any]]  # that differ and all have
    own_settings: list[dict[str, Any]]  # that only some have
    surroundings: dict[str, list[dict[str, Any]]]
    aucs: list[dict[str, Any]]
    differences: list[Difference]  # those on all rows first
    verdicts: list[str]
    notes: list[str]

    @property
    def clear_slices(self) -> list[Difference]:
        """The differences on slices whose interval excludes 0."""
        return [found for found in self.differences if found.slice != ALL and found.clear]

    @property
    def slices(self) -> int:
        """How many differences on slices there are."""
        return sum(found.slice != ALL for found in self.differences)


def compare(runs: Sequence[Run], rows: Sequence[Rows | None]) -> Comparison:
    """Compare runs with the first of them.

    Args:
        runs: Two or more.
        rows: The valid rows of each, one object where they are the same; None where nobody has them.

    Raises:
        MmctrError: Rows give a run another AUC than it had.
    """
    names = ascii_uppercase[: len(runs)]
    leaks = any(run.metrics["without_leak"] for run in runs)
    measures = MEASURES if leaks else MEASURES[:1]
    again = {id(of): Resamples(of.user, seed=seed) for seed, of in enumerate(dict.fromkeys(rows)) if of is not None}
    drawn = [_drawn(run, of, len(measures), again.get(id(of))) for run, of in zip(runs, rows, strict=True)]
    differences = []
    for measure in measures:
        for name, of, mine in zip(names[1:], rows[1:], drawn[1:], strict=True):
            for cut in mine:
                if of is None or cut not in drawn[0] or cut[0] != measure:
                    continue
                found = mine[cut] - drawn[0][cut]
                if interval := found.interval:
                    count = int(of.slices[cut[1]].sum()) if cut[1] != ALL else len(of.label)
                    differences.append(Difference(name, measure, cut[1], count, found.value, *interval))
    differences.sort(key=lambda found: found.slice != ALL)
    settings = settings_that_differ(runs)
    return Comparison(
        runs=[{"": name, **_facts(run)} for name, run in zip(names, runs, strict=True)],
        settings=[_named(names, row) for row in settings if None not in row],
        own_settings=[_named(names, row) for row in settings if None in row],
        surroundings={
            kind: [_named(names, row) for row in found] for kind, found in surroundings_that_differ(runs).items()
        },
        aucs=[_aucs(name, run, of, measures) for name, run, of in zip(names, runs, drawn, strict=True)],
        differences=differences,
        verdicts=list(_verdicts(names, runs, rows, differences)),
        notes=list(_notes(names, rows, differences)),
    )


def _drawn(
    run: Run, rows: Rows | None, measures: int, again: Resamples | None
) -> dict[tuple[str, tuple[str, str]], Drawn]:
    """By measure and slice."""
    if rows is None or again is None:
        return {}
    pctr = run.pctr
    found = auc(rows.label, pctr[0]) if pctr.shape == (2, len(rows.label)) else math.nan
    if not math.isclose(found, run.metrics["auc"], abs_tol=1e-9):
        raise MmctrError(
            f"{run.path}: its predictions have AUC {found:.6f} on the {len(rows.label):,} valid rows here, and the "
            f"run says {run.metrics['auc']:.6f}: these rows were made otherwise, or the record is damaged. Make both "
            "again: kedro run"
        )
    return {
        (MEASURES[number], cut): again.of(chosen).auc(rows.label[chosen], pctr[number][chosen])
        for number in range(measures)
        for cut, chosen in {ALL: np.full(len(rows.label), True), **rows.slices}.items()
    }


def _named(names: str, row: list[Any]) -> dict[str, Any]:
    return dict(zip(["", *names], ("–" if value is None else value for value in row), strict=True))


def _facts(run: Run) -> dict[str, Any]:
    made_of = {"task": run.task, "model": run.metrics["model"], "embedding": run.embedding, "data": run.data}
    return {"id": run.bundle.id, **made_of, "commit": run.code, "made (UTC)": run.made, "seconds": round(run.seconds)}


def _aucs(name: str, run: Run, drawn: dict[Any, Drawn], measures: Sequence[str]) -> dict[str, Any]:
    said = {"": name}
    told = (run.metrics["auc"], (run.metrics["without_leak"] or run.metrics)["auc"])
    for measure, value in zip(measures, told, strict=False):
        interval = drawn[measure, ALL].interval if drawn else None
        within = "{:.4f} to {:.4f}".format(*interval) if interval else ""
        said |= {measure: f"{value:.4f}", INTERVALS[measure]: within}
    return said


def _verdicts(names: str, runs: Sequence[Run], rows: Sequence[Rows | None], found: list[Difference]) -> Iterator[str]:
    """A sentence for each difference on all rows."""
    for name, run, of in zip(names[1:], runs[1:], rows[1:], strict=True):
        if of is rows[0] and np.array_equal(run.pctr, runs[0].pctr):
            yield f"{name} and A predict the same of every valid row: the difference is 0."
            continue
        of_all = [difference for difference in found if difference.run == name and difference.slice == ALL]
        if not of_all and of is not None and rows[0] is not None:
            yield (
                f"Fewer than {LEAST_USERS} users have a click, or another row: too few to tell {name} from A, so there "
                "is no interval."
            )
        for difference in of_all:
            where = "" if difference.measure == MEASURES[0] else "Without the leak "
            told = f"{signed(difference.value)}, 95 % interval {signed(difference.low)} to {signed(difference.high)}"
            if of is not rows[0]:
                yield f"{where}{name}'s AUC on its rows minus A's on its own: {told}."
            elif difference.clear:
                better = "better" if difference.value > 0 else "worse"
                yield f"{where}{name} is {better} than A: AUC {told}."
            else:
                yield f"{where}{'t' if where else 'T'}hese rows do not tell {name} from A: AUC {told} holds 0."


def _notes(names: str, rows: Sequence[Rows | None], found: list[Difference]) -> Iterator[str]:
    if missing := [name for name, of in zip(names, rows, strict=True) if of is None]:
        yield (
            f"The valid rows of {', '.join(missing)} are not here, so there is no interval and no difference of "
            "theirs. Compare where they are: kedro compare ... --params root=<the folder of results>"
        )
    if others := [name for name, of in zip(names[1:], rows[1:], strict=True) if of is not rows[0] and of is not None]:
        yield (
            f"{', '.join(others)} and A were judged on other valid rows: the comparison is unpaired, and a difference "
            "says as much of the rows as of the models."
        )
    if found:
        yield (
            f"Intervals are over users drawn again {RESAMPLES:,} times, the same for runs of the same rows. They do "
            "not know how far another seed would have moved a training (docs/results.md)."
        )


def signed(value: float) -> str:
    """A difference with its sign; one that is none has none."""
    return f"{value:+.4f}" if round(value, 4) else "0.0000"


def in_words(found: Comparison) -> str:
    """The comparison for a terminal."""
    names = [run[""] for run in found.runs]
    parts = [table(found.runs)]
    if found.settings:
        parts.append(table(found.settings[:MOST], first="settings that differ"))
    if left := max(0, len(found.settings) - MOST) + len(found.own_settings):
        parts.append(f"{left} more that differ, or that not all of them have, are on the page.")
    elif not found.settings:
        parts.append("No setting differs.")
    for kind, rows in found.surroundings.items():
        parts.append(table(rows[:MOST], first=f"{kind} that differs" if kind != "versions" else "versions that differ"))
    if same := [kind for kind in ("data", "code", "versions", "machine") if kind not in found.surroundings]:
        parts.append(f"The same in {', '.join(names[:-1])} and {names[-1]}: {', '.join(same)}.")
    parts += [table(found.aucs), "\n".join(found.verdicts)]
    if found.slices:
        parts.append(about_slices(found))
        parts += [table([of.row() for of in found.clear_slices if of.run == name], first=f"{name} - A")
                  for name in names[1:] if any(of.run == name for of in found.clear_slices)]  # fmt: skip
    return "\n\n".join([part for part in parts if part] + ["\n".join(found.notes)])


def about_slices(found: Comparison) -> str:
    """How many slices differ, and how many would by chance."""
    by_chance = max(1, round(found.slices / 20))
    return (
        f"On {len(found.clear_slices) or 'none'} of {found.slices} slices the interval excludes 0; about {by_chance} "
        "would by chance alone."
    )


def write_comparison(found: Comparison) -> str:
    """The page, as HTML."""
    figures = {
        f"slices_{number}": _forest([of for of in found.differences if of.measure == measure])
        for number, measure in enumerate(MEASURES)
        if any(of.measure == measure for of in found.differences)
    }
    names = [run[""] for run in found.runs]
    title = f"{', '.join(names[:-1])} and {names[-1]} side by side"
    return page(
        "comparison", figures, title=title, found=found, measures=MEASURES,
        about_slices=about_slices(found) if found.slices else "",
    )  # fmt: skip


def _forest(found: list[Difference]) -> Figure:
    """Differences with their intervals, a line for each slice, runs beside each other, 0 marked."""
    lines: list[tuple[str, str]] = []  # a slice each, and above those of one kind its name
    for cut in dict.fromkeys(of.slice for of in found):
        if cut != ALL and (cut[0], "") not in lines:
            lines.append((cut[0], ""))
        lines.append(cut)
    names = list(dict.fromkeys(of.run for of in found))
    figure = blank(height=110 + 24 * len(lines) * max(1, len(names) // 2))
    for number, name in enumerate(names):
        mine = [of for of in found if of.run == name]
        aside = 0.26 * (number - (len(names) - 1) / 2)
        figure.add_scatter(
            x=[of.value for of in mine], y=[lines.index(of.slice) + aside for of in mine], name=f"{name} - A",
            mode="markers", marker={"size": 8, "color": PALETTE[number % len(PALETTE)]}, showlegend=len(names) > 1,
            error_x={
                "array": [of.high - of.value for of in mine], "arrayminus": [of.value - of.low for of in mine],
                "thickness": 1.5, "width": 3,
            },
            customdata=[[of.rows, of.low, of.high] for of in mine],
            hovertemplate="%{x:+.4f}, %{customdata[1]:+.4f} to %{customdata[2]:+.4f}<br>%{customdata[0]} rows"
            "<extra></extra>",
        )  # fmt: skip
    figure.add_vline(x=0, line=DOTS)
    figure.update_xaxes(title_text="difference of AUC", tickformat="+.2f")
    figure.update_yaxes(
        tickvals=list(range(len(lines))), ticktext=[bucket or f"<b>{kind}</b>" for kind, bucket in lines], ticks="",
        range=[len(lines) - 0.4, -0.6], showgrid=False,
    )  # fmt: skip
    return figure
