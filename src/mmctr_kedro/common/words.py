"""Names, lists and shares in words, as messages and reports say them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A question to end a sentence about an unknown ``name`` with; empty where no known one is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f" Did you mean '{near[0]}'?" if near else ""


def some(values: Sequence, most: int = 5, total: int | None = None) -> str:
    """The first values and how many there are: "4, 9", or "4, 9, 12, 13, 20 (71 in all)".

    ``total`` says how many where only the first are given.
    """
    count = len(values) if total is None else total
    shown = ", ".join(map(str, values[:most]))
    return shown if count <= most else f"{shown} ({count} in all)"


def and_more(words: Sequence[str], most: int = 3, comma: str = ", ") -> str:
    """The first words and how many are left: "a, b and 1,204 more"."""
    left = f" and {len(words) - most:,} more" if len(words) > most else ""
    return comma.join(words[:most]) + left


def percent(share: float | None) -> str:
    """A share as a percentage; one that is neither all nor none never looks so."""
    if share is None:
        return "–"
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return "under 0.1%" if share < 0.001 else "over 99.9%" if share > 0.999 else f"{share:.1%}"
