"""What surrounds this run and differs from what surrounded the bundle's."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from mmctr_kedro.common.words import and_more
from mmctr_kedro.running.project import LOCK, Project
from mmctr_kedro.submission.bundling import Bundle

_SOURCE = ("src/", "conf/base/", "pyproject.toml")  # what of the code decides a result, beside the lock


def differences(bundle: Bundle, project: Project) -> dict[str, str]:
    """By kind (versions, lock, machine, code), in words; a kind that is the same is left out."""
    manifest = bundle.manifest
    found: dict[str, list[str]] = {"lock": [] if bundle.files.get(LOCK) == project.lock else [f"another {LOCK}"]}
    pairs: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "versions": (manifest["versions"], project.versions()),
        "machine": (manifest["hardware"], dict(project.hardware())),
    }
    for kind, (theirs, ours) in pairs.items():
        names = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
        found[kind] = [f"{name} {theirs.get(name)} -> {ours.get(name)}" for name in names]
    if "source.tar" not in bundle.files:
        found["code"] = ["the bundle has no source archive, so this code cannot be compared with its own"]
    else:
        with tarfile.open(fileobj=io.BytesIO(bundle.files["source.tar"])) as archive:
            members = [member for member in archive if member.isfile() and member.name.startswith(_SOURCE)]
            then = {member.name: stream.read() for member in members if (stream := archive.extractfile(member))}
        modules = {path.relative_to(project.path).as_posix() for path in (project.path / "src").rglob("*.py")}
        now = {name: file.read_bytes() for name in {*then, *modules} if (file := project.path / name).is_file()}
        changed = sorted(name for name in {*then, *now} if then.get(name) != now.get(name))
        changed += [f"{name} (changed in the bundle's own tree)" for name in manifest["changes"]]
        commits = f"commit {manifest['commit']}, here {project.commit}"
        found["code"] = [commits, *changed] if changed else []
    return {kind: and_more(said, 6) for kind, said in found.items() if said}
