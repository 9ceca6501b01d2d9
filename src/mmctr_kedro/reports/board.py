"""The board: every run there is a record of, and for reference what others have published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmctr_kedro.reports.rendering import page
from mmctr_kedro.reports.terminal import table
from mmctr_kedro.reports.text import form
from mmctr_kedro.submission.runs import Run


class Published(NamedTuple):
    """AUCs as others report them on the challenge's own files, which are not to be had here."""

    what: str
    task: str
    valid: float
    test: float | None
    source: str


PUBLISHED = (
    Published("organisers: fixed DIN, their values", "Task 1", 0.8655, 0.8797, "reczoo/WWW2025_MMCTR_Challenge"),
    Published("fixed DIN, best of 208 settings", "Task 1", 0.9550, None, "github.com/cimeguy/mmctr"),
    Published("1st place, momo: Transformer and DCNv2", "Task 1 & 2", 0.9766, 0.9839, "arXiv:2505.03543"),
    Published("2nd place, DISCO.AHU: QIN", "Task 1 & 2", 0.9701, 0.9798, "arXiv:2504.17699"),
    Published("Task 2's winner, zhou123 (split not stated)", "Task 2", 0.9306, None, "arXiv:2504.18961"),
)
OTHERS = (
    "For reference, others' numbers on other data: the challenge's own files, which are not to be had here. Only a "
    "run of those files (--env microlens) can be compared with them."
)


def board_rows(runs: Sequence[Run], root: Path) -> list[dict[str, Any]]:
    """A row for each run; folders are told from ``root`` on."""
    return [
        {
            "id": run.bundle.id,
            "valid AUC": form(run.metrics["auc"], ".4f"),
            "no leak": form(without["auc"], ".4f") if (without := run.metrics["without_leak"]) else "–",
            "task": run.task,
            "model": run.metrics["model"],
            "embedding": run.embedding,
            "data": run.data,
            "made (UTC)": run.made,
            "commit": run.code,
            "submittable": "no" if run.metrics["not_submittable"] else "yes",
            "seconds": round(run.seconds),
            "folder": _from(root, run.path.parents[3]),
        }
        for run in runs
    ]


def _from(root: Path, folder: Path) -> str:
    folder = folder.resolve()
    return str(folder.relative_to(root.resolve())) if folder.is_relative_to(root.resolve()) else str(folder)


def published_rows() -> list[dict[str, Any]]:
    """A row for each published figure."""
    return [
        {
            "published by others": of.what,
            "task": of.task,
            "valid AUC": f"{of.valid:.4f}",
            "test AUC": f"{of.test:.4f}" if of.test else "–",
            "source": of.source,
        }
        for of in PUBLISHED
    ]


def in_words(rows: list[dict[str, Any]], unread: Sequence[str]) -> str:
    """The board for a terminal."""
    runs = table(rows) if rows else "There is no run here yet: kedro run makes one, and leaves its record."
    left = "\n".join(f"not read: {why}" for why in unread)
    marked = "* the tree had changes that are not in the commit" if any("*" in row["commit"] for row in rows) else ""
    return "\n\n".join(part for part in (runs, marked, left, OTHERS, table(published_rows())) if part)


def write_board(rows: list[dict[str, Any]], unread: Sequence[str]) -> str:
    """The page, as HTML."""
    return page(
        "board", {}, title="Runs on this machine", rows=rows, unread=unread, published=published_rows(), others=OTHERS
    )
