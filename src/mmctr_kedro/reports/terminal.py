"""Tables for a terminal."""

from __future__ import annotations

from mmctr_kedro.reports.text import Rows, show

WIDEST = 48  # letters of a cell


def table(rows: Rows, first: str | None = None) -> str:
    """Rows of the same keys, a line each below their names, in columns; ``first`` names the first column."""
    names = list(rows[0])
    head = [names[0] if first is None else first, *names[1:]]
    lines = [head, *([_cut(show(row.get(name))) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _cut(cell: str) -> str:
    return cell if len(cell) <= WIDEST else f"{cell[: WIDEST - 3]}..."
