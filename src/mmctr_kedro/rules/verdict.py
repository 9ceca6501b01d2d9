"""A rule and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

RESEARCH = "To build it all the same, marked not submittable: --params submission.rules=research"


@dataclass(frozen=True)
class Verdict:
    """One rule, judged.

    Attributes:
        rule: What must hold, in a sentence.
        source: Where the rule stands.
        held: Whether it did.
        evidence: What was looked at and found.
        remedy: How to mend it; empty where it held.
    """

    rule: str
    source: str
    held: bool
    evidence: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def broken(verdicts: Iterable[dict[str, Any]]) -> list[str]:
    """What was found where a rule did not hold, from verdicts as JSON."""
    return [found["evidence"] for found in verdicts if not found["held"]]


def refusal(what: str, verdicts: Iterable[dict[str, Any]]) -> str:
    """The message that lists the broken rules of a submission, with remedies; empty where none is broken."""
    lines = [
        f"  - {found['rule']}\n    source: {found['source']}\n    found: {found['evidence']}\n"
        f"    mend: {found['remedy']}"
        for found in verdicts
        if not found["held"]
    ]
    if not lines:
        return ""
    rules = f"{len(lines)} rule{'s' if len(lines) > 1 else ''} of the challenge"
    return "\n".join([f"{what} would break {rules}:", *lines, RESEARCH])


def print_rules(verdicts: dict[str, list[dict[str, Any]]]) -> None:
    """A table per submission type on the terminal: rule, whether it held, evidence, source."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for name, found in verdicts.items():
        held = sum(entry["held"] for entry in found)
        table = Table(
            "rule", "held", "evidence", "source", title=f"{name}: {held} of {len(found)} held", show_lines=True
        )
        for entry in found:
            mended = "" if entry["held"] else f"\nmend: {entry['remedy']}"
            table.add_row(entry["rule"], "yes" if entry["held"] else "NO", entry["evidence"] + mended, entry["source"])
        console.print(table)
