"""What surrounds this run and differs from what surrounded the bundle's."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from mmctr_kedro.common.params import leaves
from mmctr_kedro.running.project import LOCK, Project
from mmctr_kedro.submission.bundling import Bundle, resolved

_SOURCE = ("src/", "conf/base/", "pyproject.toml")  # what of the code decides a result, beside the lock
_SHOWN = 5


def of_surroundings(bundle: Bundle, project: Project) -> dict[str, str]:
    """By kind (versions, lock, machine, code, settings), in words; a kind that is the same is left out."""
    manifest = bundle.manifest
    found = {
        "versions": _changes(manifest["versions"], project.versions()),
        "lock": "" if bundle.files.get(LOCK) == project.lock else f"another {LOCK}",
        "machine": _changes(manifest["hardware"], dict(project.hardware())),
        "code": _code(bundle, project),
        "settings": _settings(manifest["settings"]),
    }
    return {kind: says for kind, says in found.items() if says}


def _changes(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    names = sorted({*theirs, *ours})
    return _listed([f"{n} {theirs.get(n)} -> {ours.get(n)}" for n in names if theirs.get(n) != ours.get(n)])


def _listed(changes: list[str]) -> str:
    more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return ", ".join(changes[:_SHOWN]) + more


def _code(bundle: Bundle, project: Project) -> str:
    """Files of the source archive that are not here, or are otherwise here."""
    if "source.tar" not in bundle.files:
        return "the bundle has no source archive, so this code cannot be compared with its own"
    changed, known = [], set()
    with tarfile.open(fileobj=io.BytesIO(bundle.files["source.tar"])) as archive:
        for member in archive:
            if member.isfile() and member.name.startswith(_SOURCE):
                known.add(member.name)
                here, there = project.path / member.name, archive.extractfile(member)
                if there is not None and not (here.is_file() and here.read_bytes() == there.read()):
                    changed.append(member.name)
    package = project.path / "src" / "mmctr_kedro"
    changed += [
        name for path in package.rglob("*.py") if (name := path.relative_to(project.path).as_posix()) not in known
    ]
    if bundle.manifest["changes"]:
        changed += [f"{name} (changed in the bundle's own tree)" for name in bundle.manifest["changes"]]
    commits = f"commit {bundle.manifest['commit']}, here {project.commit}"
    return f"{commits}: {_listed(sorted(changed))}" if changed else ""


def _settings(theirs: dict[str, Any]) -> str:
    """Settings that this code does not know; other defaults do not matter, as a bundle has every value."""
    known = dict(leaves(resolved({})))
    unknown = [name for name, _ in leaves(theirs) if name not in known and name.count(".model.") == 0]
    return _listed([f"{name} is unknown here" for name in unknown])
