"""REPRODUCE.md: the commands by which a stranger gets the same submission."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.running.project import Project

_DATA = {
    "simulated": "None is needed: the world is simulated anew from its settings, with the same bytes.",
    "interaction_log": "Put the interaction log into a folder and name it below: add `log_folder=path/to/it`.",
    "challenge_files": "Put the challenge's files into a folder and name it below: add `challenge_folder=path/to/it`.",
}


def reproduce(
    tasks: Sequence[str], project: Project, submission: Submission, raw_files: dict[str, Any], source: str
) -> str:
    """The text, in Markdown; ``source`` is ``source.name`` of the settings."""
    pipeline = f" --pipeline {tasks[0]}" if len(tasks) == 1 else ""
    reasons = "".join(f"- {reason}\n" for reason in submission.not_submittable)
    marked = f"\n**Not submittable**:\n{reasons}" if reasons else ""
    sums = "\n".join(f"    {file['sha256']}  {file['path']}" for file in raw_files["files"].values())
    code = (
        f"Commit {project.commit}: `git checkout` it in a clone, or unpack `source.tar` into an empty folder."
        if project.commit
        else "It was run outside a git clone of the project; there is no source archive."
    )
    return f"""# Reproduce this submission

Submission type{"s" if len(tasks) > 1 else ""}: {", ".join(tasks)}. `manifest.json` says what was done: settings, seeds,
versions, machine, metrics, rules, and the SHA-256 of every file. Outside its `run` block it is the same each time.
{marked}
## Code

{code}
Then, in that folder:

    make .venv/.base                # Python 3.11 or newer; exact versions from requirements.lock

## Data

{_DATA[source]} Raw files, by SHA-256:

{sums}

## Inference: the same weights predict again

    .venv/bin/kedro run --pipeline verify --params verify.bundle=path/to/bundle.zip

rebuilds the data, checks it against the sums above, predicts valid and test with the weights in this bundle, and
compares with the submission. On the same kind of machine with the locked versions nothing may differ.

## Training: everything from scratch

    .venv/bin/kedro run --pipeline verify --params verify.bundle=path/to/bundle.zip,verify.mode=full

makes the embedding and trains again, and reports the difference in AUC. Or make the submission itself again, into
`data/reproduced`, with the settings of this bundle:

    unzip -jo path/to/bundle.zip 'conf/*' -d conf/local
    .venv/bin/kedro run{pipeline}

(In a git clone: outside one there is no commit, and what is made is marked not submittable.)
"""
