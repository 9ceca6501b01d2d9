"""The study's data sets as files: which there are, what makes them. Light to import, for ``--list``."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import yaml

from benchmarks.study.plan import ROOT, DataChoice

SPLITS = ("train", "valid", "test")


def data_digest(root: Path, *more: str) -> str:
    """Of every byte a training and its scoring read, ``more`` being the files beside clicks and tags."""
    folders = [root / "03_primary" / f"clicks_{split}" for split in SPLITS]
    files = [*(file for folder in folders for file in sorted(folder.glob("*.npy")))]
    digest = hashlib.sha256()
    for file in [*files, root / "03_primary/item_tags.npy", *(root / file for file in more)]:
        content = file.read_bytes()
        digest.update(f"{file.parent.name}/{file.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def present(choice: DataChoice, root: Path) -> bool:
    """Whether all that a training reads lies below ``root``."""
    wanted = [root / "03_primary/clicks_test/item.npy", *(root / file for file in choice.embeddings.values())]
    return all(path.is_file() for path in wanted)


def provide(choice: DataChoice, root: Path) -> str | None:
    """Have the data below ``root``, made by kedro if missing; why not, if that cannot be."""
    log = log_folder(choice)
    if log is not None and not log.is_dir():
        return f"it needs the interaction log in {log_name(choice)}, which is not there"
    if present(choice, root):
        return None
    command = [
        "run",
        "--env",
        choice.env,
        "--pipeline",
        choice.build,
        "--params",
        f"root={root}" + (f",{choice.params}" if choice.params else ""),
    ]
    print(f"making the data of {choice.env}: kedro {' '.join(command)}", flush=True)
    subprocess.run([sys.executable, "-m", "kedro", *command], cwd=ROOT, check=True)
    return None


def log_name(choice: DataChoice) -> str | None:
    return yaml.safe_load((ROOT / "conf" / choice.env / "globals.yml").read_text()).get("log_folder")


def log_folder(choice: DataChoice) -> Path | None:
    name = log_name(choice)
    return None if name is None else ROOT / name
