"""Look up every locked dependency among the known vulnerabilities: part of ``make check``.

Exits with 1 where one is found that is not accepted below. Where the service cannot be asked (no network, or an index
that keeps no advisories) it says so in plain sight and exits with 0: a check that needs a network must not stop work.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
SECONDS = 180

# Advisory to the reason why it does not concern us; one that is no longer found is reported, to be taken out.
ACCEPTED: dict[str, str] = {}


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "-r", str(LOCK), "--no-deps", "--disable-pip", "--format", "json"]
    try:
        result = subprocess.run(
            [*command, "--progress-spinner", "off", "--timeout", "5"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        report = json.loads(result.stdout)
    except (ValueError, subprocess.TimeoutExpired) as error:
        last = result.stderr.strip().splitlines()[-1:] if isinstance(error, ValueError) else [str(error)]
        return _say(*not_audited(" ".join(last)[:200]))
    return _say(*verdict(report, ACCEPTED))


def verdict(report: dict[str, Any], accepted: dict[str, str]) -> tuple[int, list[str]]:
    """Exit status, and what to say of a report as ``pip-audit --format json`` writes it."""
    dependencies = report["dependencies"]
    skipped = [dependency["name"] for dependency in dependencies if "skip_reason" in dependency]
    if len(skipped) == len(dependencies):
        return not_audited(dependencies[0]["skip_reason"] if dependencies else "the lock is empty")
    known = [(dependency, found) for dependency in dependencies for found in dependency.get("vulns", [])]
    names = {name for _, found in known for name in (found["id"], *found.get("aliases", []))}
    bad = [
        f"{of['name']} {of['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version yet'}"
        for of, found in known
        if not accepted.keys() & {found["id"], *found.get("aliases", [])}
    ]
    lines = [f"Vulnerable: {line}" for line in bad]
    lines += [f"Accepted: {name}: {reason}" for name, reason in accepted.items() if name in names]
    lines += [f"Accepted but no longer found, take it out of .ci/audit.py: {name}" for name in accepted.keys() - names]
    if skipped:
        lines.append(f"Not audited, as the service does not know them: {', '.join(skipped)}")
    lines.append(f"{len(dependencies) - len(skipped)} dependencies audited, {len(bad)} vulnerabilities found.")
    if bad:
        lines.append("Raise the version in pyproject.toml and run make lock, or accept it in .ci/audit.py and say why.")
    return int(bool(bad)), lines


def not_audited(why: str) -> tuple[int, list[str]]:
    """Exit status, and what to say where nobody could be asked."""
    return 0, [
        f"DEPENDENCIES WERE NOT AUDITED: no answer about known vulnerabilities ({why}).",
        "Run make check again where https://pypi.org can be reached.",
    ]


def _say(status: int, lines: list[str]) -> int:
    print("\n".join(lines), file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
