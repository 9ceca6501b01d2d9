"""The frame of a report: one HTML page that needs no network, the same bytes for the same contents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Nothing may be loaded: a browser that reads this refuses every request the page could make.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"

MOST = 40  # entries of one list or object that a page shows

_CSS = """
:root { --ink: #1f2933; --muted: #6b7785; --line: #dfe3e8; --soft: #f5f7f9; --accent: #1f5fa8; }
* { box-sizing: border-box; }
body { margin: 0; background: white; color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 56px 32px 80px; }
.eyebrow { color: var(--muted); font-size: 14px; letter-spacing: .04em; margin: 0 0 6px; }
h1 { font-size: 36px; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 14px; font-weight: 650; }
h2 { font-size: 22px; margin: 52px 0 8px; font-weight: 650; letter-spacing: -.01em; }
h3 { font-size: 15px; margin: 20px 0 4px; font-weight: 650; }
p { max-width: 46em; margin: 0 0 10px; }
.lead { font-size: 18px; }
.note { color: var(--muted); font-size: 14px; max-width: 56em; }
ul { list-style: none; padding: 0; margin: 10px 0; max-width: 52em; }
li { border-left: 3px solid var(--line); padding: 1px 0 1px 14px; margin: 0 0 8px; }
li.marked { border-color: #c4561a; }
.warning { border-left: 3px solid #c4561a; padding: 2px 0 2px 14px; }
.facts { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1px; margin: 28px 0;
  background: var(--line); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.facts div { background: white; padding: 14px 18px; }
.facts b { display: block; white-space: nowrap; font-size: 21px; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.facts span { color: var(--muted); font-size: 13px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 32px; }
.pair > * { min-width: 0; }
@media (max-width: 820px) {
  .pair { grid-template-columns: 1fr; gap: 0; }
  .facts { grid-template-columns: 1fr 1fr; }
  main { padding: 32px 18px; }
  h1 { font-size: 28px; }
}
.plot { margin: 8px 0 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; margin: 10px 0 16px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--muted); border-bottom: 1px solid #b8c0c8; }
th, td { padding: 6px 22px 6px 0; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td { border-bottom: 1px solid var(--line); }
.list th { font-weight: 400; border-bottom: 1px solid var(--line); padding-right: 36px; }
.number { text-align: right; }
.number, th:first-child, td:first-child { white-space: nowrap; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: 12px 16px;
  overflow-x: auto; font: 14px/1.5 ui-monospace, 'SF Mono', Menlo, Consolas, monospace; }
details { margin: 8px 0; }
summary { cursor: pointer; color: var(--accent); font-size: 14px; }
.scale { margin: 24px 0 20px; }
.scale .row { display: grid; grid-template-columns: 92px 94px 1fr; align-items: center; }
.scale b { font-size: 20px; font-weight: 650; font-variant-numeric: tabular-nums; }
.track { position: relative; height: 36px; }
.track i { position: absolute; top: 17px; height: 2px; left: 0; right: 0; background: var(--line); }
.track .reach { background: #aab4bf; right: auto; }
.track .got { right: auto; height: 8px; top: 14px; border-radius: 0 4px 4px 0; }
.track em { position: absolute; top: 8px; width: 2px; height: 20px; background: var(--ink); }
.ends { display: flex; justify-content: space-between; color: var(--muted); font-size: 13px;
  margin-left: 186px; }
"""
_PLOTLY = "{displaylogo: false, responsive: true, displayModeBar: false}"


def html_page(title: str, body: str, figures: Mapping[str, Figure], css: str = "") -> str:
    """One self-contained page; ``figures`` go where ``figure_place`` of the same name stands in the body."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_CSS}{css}</style>
</head>
<body>
<main>
{body}
</main>
{_scripts(figures) if figures else ""}</body>
</html>
"""


def _scripts(figures: Mapping[str, Figure]) -> str:
    from plotly.offline import get_plotlyjs

    # In JSON "<" occurs only within strings, where it may be written so that no </script> can arise.
    drawn = ",\n".join(f'"{name}": {figure.to_json()}' for name, figure in figures.items()).replace("<", "\\u003c")
    return f"""<script>{get_plotlyjs()}</script>
<script>
const figures = {{
{drawn}
}};
for (const [name, figure] of Object.entries(figures))
  Plotly.newPlot(name, figure.data, figure.layout, {_PLOTLY});
</script>
"""


def figure_place(name: str) -> str:
    """Where the figure of this name is drawn."""
    return f'<div class="plot" id="{name}"></div>'


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; nothing where there is none."""
    if not text:
        return ""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(items: Iterable[tuple[str, bool]]) -> str:
    """A list of sentences, each with whether it is marked."""
    kinds = ((text, ' class="marked"' if marked else "") for text, marked in items)
    lines = "".join(f"<li{kind}>{escape(text)}</li>" for text, kind in kinds)
    return f"<ul>{lines}</ul>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A strip of figures, each above what it is: pairs of (what it is, figure)."""
    return (
        '<div class="facts">'
        + "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in pairs)
        + "</div>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; values are written by ``show``, columns of figures but the first set flush right."""
    shown = [[show(value) for value in row] for row in rows]
    columns = list(zip(*shown, strict=True)) or [()] * len(header)
    kinds = [' class="number"' if all(_is_figure(cell) for cell in column) else "" for column in columns]
    kinds[0] = ""  # the first column names the row
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(header, kinds, strict=True))
    lines = ["".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) for row in shown]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}\n</table></div>'


def json_tables(data: Mapping[str, Any]) -> str:
    """Any JSON object as tables: plain facts, objects of equal keys side by side, records in rows."""
    records = {key: rows for key, value in data.items() if (rows := _records(value))}
    alike = _alike({key: value for key, value in data.items() if key not in records})
    plain = flat({key: value for key, value in data.items() if key not in records | alike})
    parts = [fact_list(plain)] if plain else []
    if alike:
        places = [place for place, _ in next(iter(alike.values()))]
        values = zip(*([value for _, value in facts_] for facts_ in alike.values()), strict=True)
        lines = ([place, *line] for place, line in zip(places, values, strict=True))
        parts.append(table(["", *(_words(key) for key in alike)], lines))
    for key, rows in records.items():
        names = list(dict.fromkeys(name for row in rows for name in row))
        listed = ([row.get(name) for name in names] for row in rows[:MOST])
        parts.append(f"<h3>{escape(_words(key))}</h3>" + table([_words(name) for name in names], listed))
    return "".join(parts)


def fact_list(pairs: Iterable[tuple[str, str]]) -> str:
    """Facts one below the other, each beside what it is."""
    rows = "\n".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in pairs)
    return f'<div class="scroll"><table class="list">{rows}</table></div>'


def details(summary: str, body: str) -> str:
    """Something folded away until it is wanted."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def scale(rows: Iterable[tuple[str, float | None, float | None, str]]) -> str:
    """AUCs on a line from chance to 1: rows of (name, AUC, best reachable AUC, colour)."""
    lines = []
    for name, got, reach, colour in rows:
        marks = "<i></i>"
        if reach is not None:
            marks += f'<i class="reach" style="width:{_percent(reach)}"></i>'
            marks += f'<em style="left:{_percent(reach)}" title="best reachable {reach:.4f}"></em>'
        if got is not None:
            marks += f'<i class="got" style="width:{_percent(got)};background:{colour}"></i>'
        number = "–" if got is None else f"{got:.4f}"
        lines.append(
            f'<div class="row"><span>{escape(name)}</span><b style="color:{colour}">{number}</b>'
            f'<div class="track">{marks}</div></div>'
        )
    known = any("<em" in line for line in lines)
    middle = "<span>upright mark: best reachable</span>" if known else ""
    ends = f'<div class="ends"><span>0.5 chance</span>{middle}<span>1 perfect</span></div>'
    return f'<div class="scale">{"".join(lines)}{ends}</div>'


def show(value: Any) -> str:
    """A value as a reader wants it: thousands grouped, four digits or decimals, None as a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value == int(value) and abs(value) < 1e15:
            return f"{int(value):,}"
        digits = 4 - math.ceil(math.log10(abs(value))) if abs(value) >= 1 else 4
        return f"{value:,.{max(0, digits)}f}" if abs(value) >= 1e-3 else f"{value:.3g}"
    return str(value)


def flat(facts_: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested JSON as (place, value) lines; lists are shortened to their length and first entries."""
    if isinstance(facts_, Mapping):
        kept = list(facts_.items())[:MOST]
        lines = [line for key, value in kept for line in flat(value, _place(prefix, key))]
        more = len(facts_) - len(kept)
        return [*lines, (_place(prefix, "…"), f"{more:,} more")] if more else lines
    if isinstance(facts_, list):
        if all(not isinstance(entry, Mapping | list) for entry in facts_):
            return [(prefix, _few(facts_))]
        return [line for number, entry in enumerate(facts_[:MOST]) for line in flat(entry, _place(prefix, number + 1))]
    return [(prefix, show(facts_))]


def _alike(data: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """The largest group of two or more objects that state the same facts, as those facts."""
    groups: dict[tuple[str, ...], dict[str, list[tuple[str, str]]]] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            lines = flat(value)
            groups.setdefault(tuple(place for place, _ in lines), {})[key] = lines
    largest = max(groups.values(), key=len, default={})
    return largest if len(largest) > 1 else {}


def _records(value: Any) -> list[dict[str, Any]]:
    """The rows of a list of flat objects, or of an object of them (its keys become ``name``); else none."""
    if isinstance(value, Mapping) and len(value) > 1 and all(_is_flat(entry) for entry in value.values()):
        return [{"name": key, **entry} for key, entry in value.items()]
    if isinstance(value, list) and value and all(_is_flat(entry) for entry in value):
        return value
    return []


def _is_flat(value: Any) -> bool:
    return isinstance(value, Mapping) and not any(isinstance(entry, Mapping | list) for entry in value.values())


def _is_figure(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "–-"


def _words(key: Any) -> str:
    return str(key).replace("_", " ")


def _few(values: list[Any]) -> str:
    if not values:
        return "none"
    shown = ", ".join(show(value) for value in values[:12])
    return shown if len(values) <= 12 else f"{len(values):,}: {shown}, …"


def _place(prefix: str, key: Any) -> str:
    return f"{prefix} · {_words(key)}" if prefix else _words(key)


def _percent(auc: float) -> str:
    """Where an AUC lies between 0.5 and 1, as a CSS length."""
    return f"{min(1.0, max(0.0, (auc - 0.5) / 0.5)) * 100:.2f}%"
