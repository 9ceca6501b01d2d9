"""How docs/results.md writes numbers, intervals and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Rows = list[list[str]]


def verdict(comparison: dict[str, Any], of: str = "{}") -> str:
    """Who is ahead, by how much, and whether the interval says so."""
    ours, other = (of.format(f"`{comparison[side]}`") for side in ("ours", "other"))
    where = f"`{comparison['data']}`"
    size = f"{abs(comparison['mean']):.4f} test AUC (95 % interval {interval(comparison)})"
    if not comparison["excludes_zero"]:
        return f"On {where}, {ours} and {other} are not told apart: {signed(comparison['mean'])} test AUC, 95 % " + (
            f"interval {interval(comparison)}, which includes 0."
        )
    if comparison["mean"] > 0:
        return f"On {where}, {ours} is ahead of {other} by {size}, which excludes 0."
    return f"On {where}, {ours} **falls short** of {other} by {size}, which excludes 0."


def compared_table(compared: list[dict[str, Any]]) -> str:
    rows = [
        [
            f"`{c['ours']}` - `{c['other']}`",
            signed(c["mean"]),
            interval(c),
            "yes" if c["excludes_zero"] else "no",
            ", ".join(signed(value) for value in c["by_seed"]),
        ]
        for c in compared
    ]
    first = compared[0]
    return "\n".join(
        [
            f"Paired difference of test AUC over {first['seeds']} seeds; the interval is a bootstrap over users and "
            f"seeds ({first['resamples']:,} resamples of {first['users']:,} users, {first['rows']:,} rows):",
            "",
            table(["difference", "mean", "95 % interval", "excludes 0", "by seed"], rows),
        ]
    )


def commit_of(about: dict[str, Any]) -> str:
    return f"{about['commit'] or 'unknown'}{' with uncommitted changes' if about['dirty'] else ''}"


def spread(values: Sequence[float], digits: int = 4, plus: bool = False) -> str:
    if not len(values):
        return "-"
    mean = f"{np.mean(values):{'+' if plus else ''},.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean


def signed(value: float) -> str:
    return f"{value:+.4f}"


def interval(comparison: dict[str, Any]) -> str:
    return f"[{signed(comparison['low'])}, {signed(comparison['high'])}]"


def listed(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)


def table(header: list[str], rows: Rows) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
