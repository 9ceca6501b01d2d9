"""The secret scan of ``make check``: loud on a new secret, quiet on what only looks like one."""

import random
import string
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOK = [str(Path(sys.executable).parent / "detect-secrets-hook"), "--baseline", ".secrets.baseline"]
LETTERS = string.ascii_letters + string.digits


def scan(*paths: Path | str) -> subprocess.CompletedProcess:
    return subprocess.run([*HOOK, *map(str, paths)], cwd=ROOT, capture_output=True, text=True, check=False)


def drawn(count: int, letters: str = LETTERS) -> str:
    """Made up as the test runs, so that no file of ours holds one."""
    return "".join(random.Random(7).choices(letters, k=count))


@pytest.mark.parametrize(
    "line",
    [
        f"aws = '{'AK' + 'IA' + drawn(16, string.ascii_uppercase + string.digits)}'",
        f"token = '{'gh' + 'p_' + drawn(36)}'",
        f"password = '{drawn(20)}'",
        f"api_key = '{drawn(40, '0123456789abcdef')}'",
        f"url: https://user:{drawn(12)}@example.org",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
    ],
    ids=["AWS", "GitHub", "password", "key of the looks of a digest", "address", "private key"],
)
def test_a_new_secret_fails_the_scan(line, tmp_path):
    path = tmp_path / "settings.py"
    path.write_text(f"x = 1\n{line}\n")
    result = scan(path)
    assert result.returncode == 1, result.stdout
    assert "settings.py:2" in result.stdout


def test_a_commit_or_a_digest_is_no_secret(tmp_path):
    path = tmp_path / "study.json"
    path.write_text("".join(f'{{"commit": "{drawn(size, "0123456789abcdef")}"}}\n' for size in (12, 16, 40, 64)))
    assert scan(path).returncode == 0
