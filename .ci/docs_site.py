"""Build docs/ into build/docs; fail at a warning, a dead link, or a page that asks another server for anything."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "docs"


def build() -> list[str]:
    """Build the site; what is wrong with it, a line each. Zensical says nothing of links out of docs/ and griffe's
    warnings do not stop it, so its words and its pages are read.
    """
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    plain = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode or any(re.match(r"griffe:|warning", line, re.IGNORECASE) for line in said):
        return said
    return sorted(set(_dead_links()))


def _dead_links() -> Iterator[str]:
    pages = {path: path.read_text(encoding="utf-8") for path in SITE.rglob("*.html") if path.name != "404.html"}
    places = {path: set(re.findall(r"\bid=\"?([^\"\s>]+)", text)) for path, text in pages.items()}
    for page, text in pages.items():
        for attribute, address in re.findall(r"\b(href|src)=\"([^\"]+)\"", text):
            if re.match(r"\w+:", address):
                if attribute == "src" and not address.startswith("data:"):
                    yield f"{page.relative_to(SITE)} asks another server: {address}"
                continue
            name, _, place = unquote(address).partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (place and place not in places.get(target, {place})):
                yield f"{page.relative_to(SITE)} has a link to nothing: {address}"


if __name__ == "__main__":
    wrong = build()
    print("\n".join(wrong) or f"built without a warning: {SITE.relative_to(ROOT)}/index.html")
    sys.exit(bool(wrong))
