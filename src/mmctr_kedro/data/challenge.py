"""The MM-CTR challenge's files as published: names, columns, types, and where they lie in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from mmctr_kedro.common.errors import MmctrError

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "valid", "test")
HISTORY_WIDTH = 64  # item_seq in train/valid/test is left-padded with 0 to this width
TAG_WIDTH = 5
EMBEDDING_WIDTH = 128

_FIXED_HISTORY = pa.list_(pa.int64(), HISTORY_WIDTH)
_ROW = [
    pa.field("user_id", pa.int64()),
    pa.field("item_seq", _FIXED_HISTORY),
    pa.field("item_id", pa.int64()),
    pa.field("likes_level", pa.int64()),
    pa.field("views_level", pa.int64()),
]

SCHEMAS: dict[str, pa.Schema] = {
    "train": pa.schema([*_ROW, pa.field("label", pa.int64())]),
    "valid": pa.schema([*_ROW, pa.field("label", pa.int64())]),
    "test": pa.schema([pa.field("ID", pa.int64()), *_ROW]),
    "item_info": pa.schema(
        [
            pa.field("item_id", pa.int64()),
            pa.field("item_tags", pa.list_(pa.int64(), TAG_WIDTH)),
            pa.field("item_emb_d128", pa.list_(pa.float64(), EMBEDDING_WIDTH)),
        ]
    ),
    "item_feature": pa.schema(
        [
            pa.field("item_id", pa.int64()),
            pa.field("item_title", pa.string()),
            pa.field("item_tags", pa.list_(pa.int64())),
            pa.field("likes_level", pa.int64()),
            pa.field("views_level", pa.int64()),
            pa.field("txt_emb_BERT", pa.list_(pa.float32(), 768)),
            pa.field("img_emb_CLIPRN50", pa.list_(pa.float32(), 1024)),
        ]
    ),
    "item_emb": pa.schema(
        [
            pa.field("item_id", pa.int64()),
            *(
                pa.field(f"item_emb_d128_{version}", pa.list_(pa.float32(), EMBEDDING_WIDTH))
                for version in ("v1", "v2", "v3", "e4")
            ),
        ]
    ),
    "item_seq": pa.schema([pa.field("user_id", pa.int64()), pa.field("item_seq", pa.list_(pa.int64()))]),
    # Ours, optional: the words behind tag ids, for data whose tags mean something (simulated, MovieLens).
    "tag_words": pa.schema([pa.field("tag_id", pa.int64()), pa.field("word", pa.string())]),
}

PATHS: dict[str, str] = {
    **{name: f"MicroLens_1M_x1/{name}.parquet" for name in (*SPLITS, "item_info")},
    **{name: f"{name}.parquet" for name in ("item_feature", "item_emb", "item_seq", "tag_words")},
}
COVERS = "item_images"  # a folder of {item_id}.jpg, or this name as .zip, .tar, .rar
CONTAINERS = ("", ".zip", ".tar", ".tar.gz", ".tgz", ".rar")  # of several in one folder the first is read


@dataclass(frozen=True)
class RawFolder:
    """A folder that holds, or will hold, raw files. The store object nodes get from the catalog."""

    path: Path

    def file(self, name: str) -> Path:
        """Where the challenge file of this name (a key of ``PATHS``) lies."""
        return self.path / PATHS[name]

    def refuse_foreign(self, record: str, maker: str) -> None:
        """Make sure that what is about to be written replaces nothing but an earlier run of the same maker.

        Args:
            record: The file that marks this folder as the maker's own.
            maker: "simulated" or "imported", for the message.
        """
        names = [*PATHS.values(), *(f"{COVERS}{end}" for end in CONTAINERS)]
        found = [name for name in names if (self.path / name).exists()]
        if found and not (self.path / record).exists():
            raise MmctrError(
                f"{self.path} already holds {found[0]}, and no {record} that would mark it as {maker}. Nothing was "
                "overwritten. Use these files: --params source.name=challenge_files, or write to another place: "
                "--params root=<another folder>"
            )


# The challenge's column per submission type, in its order.
SUBMISSION_COLUMNS = {"task1": "Task1", "task2": "Task2", "task1_and_2": "Task1&2"}


@dataclass(frozen=True)
class Submission:
    """A submission, and why it may not be sent in.

    Attributes:
        table: ``ID`` int64 ascending and one float32 column per task (``SUBMISSION_COLUMNS``).
        not_submittable: A line for each reason; empty where every rule held.
    """

    table: pd.DataFrame
    not_submittable: tuple[str, ...] = ()


def unknown_truth() -> pd.DataFrame:
    """The truth about data that nobody simulated: its columns and types, no rows."""
    import pandas as pd

    known = dict.fromkeys(("posterior", "posterior_without_taste", "posterior_without_levels"), "float64")
    types = {"split": "str", "row_id": "int64", **known}
    return pd.DataFrame(columns=list(types)).astype(types)
