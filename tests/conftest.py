"""Shared fixtures: a challenge data set of three items and four train rows, small enough to work out by hand.

Items: 1 "red fox" (tags red, animal; levels 2, 5), 2 without a title or tags (levels 10, 1),
3 "blue whale" (tag animal; levels 1, 10). Item i's provided embedding is i / 4 in every place.

========  ====  =======  ====  =====
train     user  history  item  label
========  ====  =======  ====  =====
row 0        1  1, 2        3      1
row 1        1  1, 2        1      0
row 2        2  (none)      1      1
row 3        1  2, 1        3      0
========  ====  =======  ====  =====

valid: user 2 with history 3 clicks item 1 (row 0), not item 2 (row 1). test: ID 0 is user 3, history 1, 2, 3,
item 3; ID 1 is user 1, history 1, 2, item 2, which train never shows. Row 3 of train has other levels (5, 5)
than its item.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from hypothesis import settings
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from mmctr_kedro.data.challenge import EMBEDDING_WIDTH, HISTORY_WIDTH, PATHS, SCHEMAS, RawFolder

# A machine with other things to do is slow, which is no fault; the same examples each time.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

PROJECT = Path(__file__).parents[1]
RED, ANIMAL = 7, 3
LEVELS = {1: (2, 5), 2: (10, 1), 3: (1, 10)}  # likes, views


def _rows(name: str, rows: list[tuple]) -> pa.Table:
    """A split from (user, history, item, label or ID) tuples."""
    users, histories, items, last = zip(*rows, strict=True)
    columns = {
        "user_id": users,
        "item_seq": [[0] * (HISTORY_WIDTH - len(history)) + history for history in histories],
        "item_id": items,
        "likes_level": [LEVELS[item][0] for item in items],
        "views_level": [LEVELS[item][1] for item in items],
        "ID" if name == "test" else "label": last,
    }
    return _table(name, columns)


def _table(name: str, columns: dict) -> pa.Table:
    schema = SCHEMAS[name]
    return pa.table({field.name: pa.array(list(columns[field.name]), field.type) for field in schema}, schema)


def _vectors(values: list[float], width: int) -> list[np.ndarray]:
    return [np.full(width, value) for value in values]


def _tables() -> dict[str, pa.Table]:
    train = _rows("train", [(1, [1, 2], 3, 1), (1, [1, 2], 1, 0), (2, [], 1, 1), (1, [2, 1], 3, 0)])
    for column in ("likes_level", "views_level"):
        levels = train[column].to_pylist()
        train = train.set_column(train.column_names.index(column), train.schema.field(column), [[*levels[:3], 5]])
    return {
        "train": train,
        "valid": _rows("valid", [(2, [3], 1, 1), (2, [3], 2, 0)]),
        "test": _rows("test", [(3, [1, 2, 3], 3, 0), (1, [1, 2], 2, 1)]),
        "item_info": _table(
            "item_info",
            {
                "item_id": [0, 1, 2, 3],
                "item_tags": [[0] * 5, [0, 0, 0, RED, ANIMAL], [0] * 5, [0, 0, 0, 0, ANIMAL]],
                "item_emb_d128": _vectors([0, 0.25, 0.5, 0.75], EMBEDDING_WIDTH),
            },
        ),
        "item_feature": _table(
            "item_feature",
            {
                "item_id": [1, 2, 3],
                "item_title": ["red fox", None, "blue whale"],
                "item_tags": [[RED, ANIMAL], [], [ANIMAL]],
                "likes_level": [LEVELS[item][0] for item in (1, 2, 3)],
                "views_level": [LEVELS[item][1] for item in (1, 2, 3)],
                "txt_emb_BERT": _vectors([1, 2, 3], 768),
                "img_emb_CLIPRN50": _vectors([1, 2, 3], 1024),
            },
        ),
        "item_emb": _table(
            "item_emb",
            {"item_id": [1, 2, 3]} | {f"item_emb_d128_{v}": _vectors([1, 2, 3], 128) for v in ("v1", "v2", "v3", "e4")},
        ),
        "item_seq": _table("item_seq", {"user_id": [1, 2, 3], "item_seq": [[1, 2, 1], [3], [1, 2, 3]]}),
        "tag_words": _table("tag_words", {"tag_id": [ANIMAL, RED], "word": ["animal", "red"]}),
    }


@pytest.fixture
def challenge_tables() -> dict[str, pa.Table]:
    """The tiny data set by name (a key of ``challenge.PATHS``), in the published types; yours to change."""
    return _tables()


@pytest.fixture
def write_challenge(tmp_path: Path) -> Callable[[dict[str, pa.Table]], RawFolder]:
    """Write tables where the challenge has them, below a fresh folder; returns the folder."""

    def write(tables: dict[str, pa.Table]) -> RawFolder:
        folder = RawFolder(tmp_path / "challenge")
        for name, table in tables.items():
            path = folder.path / PATHS[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path)
        return folder

    return write


@pytest.fixture
def challenge_folder(challenge_tables, write_challenge) -> RawFolder:
    """The tiny data set as files."""
    return write_challenge(challenge_tables)


@pytest.fixture(scope="session")
def in_a_child() -> Callable[[Callable[[], object]], int]:
    """Run work in a forked child, which may be killed; returns minus the signal that ended it, 1 for an error."""

    def run(work: Callable[[], object]) -> int:
        if (child := os.fork()) == 0:
            try:
                work()
                os._exit(0)
            except Exception:
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return run


@pytest.fixture(scope="session")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of one ``kedro run --env smoke``, made once for all processes of pytest-xdist."""
    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "main_job"
    with FileLock(f"{root}.lock"):
        if not (root / "08_reporting" / "bundle.zip").exists():
            bootstrap_project(PROJECT)
            with KedroSession.create(PROJECT, env="smoke", runtime_params={"root": str(root)}) as session:
                session.run()
    return root


def copy_project(to: Path) -> Path:
    """Copy the project as it is here, without what git ignores; a link stays a link."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if os.path.lexists(PROJECT / name):  # not deleted
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, to / name, follow_symlinks=False)
    return to


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    """A copy of the project; yours to change and to run in."""
    return copy_project(tmp_path / "project")
