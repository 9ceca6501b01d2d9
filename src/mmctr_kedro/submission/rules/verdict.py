"""A rule and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
        remedy: How to mend it, or would; told only where it did not hold.
    """

    rule: str
    source: str
    held: bool
    evidence: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | ({"remedy": ""} if self.held else {})


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


def listing(name: str, verdicts: Sequence[dict[str, Any]]) -> str:
    """Every rule with its source, whether it held, and the evidence, for a terminal of any width."""
    held = sum(entry["held"] for entry in verdicts)
    lines = [f"{name}: {held} of {len(verdicts)} rules held"]
    for entry in verdicts:
        lines.append(f"  {'held  ' if entry['held'] else 'BROKEN'}  {entry['rule']}")
        lines += [f"          {what:<9} {entry[what]}" for what in ("source", "evidence", "remedy") if entry[what]]
    return "\n".join(lines)
