"""The dependency audit: what fails the check, what is said, and that silence is never taken for safety."""

import json
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

spec = spec_from_file_location("audit", Path(__file__).parents[1] / ".ci" / "audit.py")
audit = module_from_spec(spec)
spec.loader.exec_module(audit)

SOUND = {"name": "numpy", "version": "2.0", "vulns": []}
HOLE = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"], "description": ""}
VULNERABLE = {"name": "pillow", "version": "1.0", "vulns": [HOLE]}
UNKNOWN = {"name": "private", "skip_reason": "Dependency not found on PyPI"}


def verdict(*dependencies: dict, accepted: dict[str, str] | None = None) -> tuple[int, str]:
    status, lines = audit.verdict({"dependencies": list(dependencies)}, accepted or {})
    return status, "\n".join(lines)


def test_a_known_vulnerability_fails_the_check_and_is_named_with_its_cure():
    status, said = verdict(SOUND, VULNERABLE)
    assert status == 1
    assert "Vulnerable: pillow 1.0: PYSEC-1, mended in 1.1" in said


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_an_accepted_one_passes_with_its_reason_in_sight(name):
    status, said = verdict(SOUND, VULNERABLE, accepted={name: "we never call it"})
    assert status == 0
    assert f"Accepted: {name}: we never call it" in said


def test_an_acceptance_that_is_no_longer_needed_is_reported():
    assert "no longer found, take it out of .ci/audit.py: CVE-9" in verdict(SOUND, accepted={"CVE-9": "old"})[1]


def test_what_was_not_audited_is_named():
    assert verdict(SOUND)[1] == "1 dependencies audited, 0 vulnerabilities found."
    assert "service does not know them: private" in verdict(SOUND, UNKNOWN)[1]


def test_an_index_that_knows_no_dependency_is_no_clean_bill():
    """pip-audit itself says "No known vulnerabilities found" then."""
    status, said = verdict(UNKNOWN, UNKNOWN)
    assert status == 0
    assert "DEPENDENCIES WERE NOT AUDITED" in said


def test_without_network_the_check_goes_on_and_says_so(monkeypatch, capsys):
    gone = subprocess.CompletedProcess([], 1, stdout="", stderr="Traceback\nConnectionError: no route to pypi.org")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: gone)
    assert audit.main() == 0
    assert "NOT AUDITED: no answer about known vulnerabilities (ConnectionError: no route" in capsys.readouterr().out


def test_a_vulnerability_found_by_pip_audit_fails_the_check(monkeypatch, capsys):
    found = subprocess.CompletedProcess([], 1, stdout=json.dumps({"dependencies": [VULNERABLE]}), stderr="")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: found)
    assert audit.main() == 1
    assert "PYSEC-1" in capsys.readouterr().err
