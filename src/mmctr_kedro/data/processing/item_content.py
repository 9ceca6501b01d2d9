"""Items: item_info (tags and provided embedding), item_feature (words and levels), item_emb and tag_words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmctr_kedro.data.challenge import EMBEDDING_WIDTH, PATHS, SCHEMAS, TAG_WIDTH, RawFolder
from mmctr_kedro.data.clicks import LEVELS
from mmctr_kedro.data.processing.click_tables import Table, is_list, open_table
from mmctr_kedro.data.processing.columns import id_lists, vectors
from mmctr_kedro.data.processing.jagged import keep_newest, offsets_of, pad_left, take
from mmctr_kedro.data.processing.problems import EXAMPLES, Problems
from mmctr_kedro.data.processing.schemas import MAX_TAG

BATCH_ROWS = 8_192  # an item_feature row has 1,792 floats: some 60 MB at a time


@dataclass(frozen=True)
class Items:
    """Everything about items; what could not be had from the files is None, and a problem says why."""

    count: int | None  # N: items are 1..N
    content: pd.DataFrame | None
    tags: np.ndarray | None  # [N + 1, 5] int32, left-padded with 0
    embedding: np.ndarray | None  # [N + 1, 128] float32


@dataclass(frozen=True)
class ItemInfo:
    """item_info in item-id order, as far as it is usable: row i belongs to item i, row 0 is padding."""

    ids: np.ndarray | None = None
    tags: np.ndarray | None = None
    embedding: np.ndarray | None = None


def read_items(folder: RawFolder, names: list[str], problems: Problems) -> Items:
    """Read and check every item file; ``names`` are the files that are there."""
    info, content = ItemInfo(), None
    ids: dict[str, np.ndarray | None] = {}
    with problems.reading(PATHS["item_info"]):
        info = read_item_info(folder, problems)
    words = _no_words()
    if "tag_words" in names:
        with problems.reading(PATHS["tag_words"]):
            words = _read_words(folder, problems)
    with problems.reading(PATHS["item_feature"]):
        ids["item_feature"], content = read_item_content(folder, words, problems)
    if "item_emb" in names:
        with problems.reading(PATHS["item_emb"]):
            ids["item_emb"] = check_item_emb(folder, problems)
    for name, found in ids.items():
        if info.ids is not None and found is not None:
            check_same_items(info.ids, found, name, problems)
    known = info.ids if info.ids is not None else ids.get("item_feature")
    count = None if known is None else int(np.nanmax(known, initial=0)) or None
    return Items(count, content, info.tags, info.embedding)


def read_item_info(folder: RawFolder, problems: Problems) -> ItemInfo:
    """Tags and the provided embedding, checked."""
    table = open_table(folder, "item_info", problems)
    if "item_id" not in table:
        return ItemInfo()
    ids = table.scalars()["item_id"].to_numpy()
    order = _order(table, ids)
    if 0 not in ids:
        problems.add(table.file, "column 'item_id': expected a row for item 0, the padding row of zeros, found none")
    tags = embedding = None
    if "item_tags" in table:
        tags = pad_left(*keep_newest(*_tags(table, width=TAG_WIDTH), TAG_WIDTH), TAG_WIDTH)
    if "item_emb_d128" in table:
        embedding = vectors(table, "item_emb_d128", EMBEDDING_WIDTH, BATCH_ROWS, keep=True)
    in_order = {}
    for name, column, values in (
        ("tags", "item_tags", tags),
        ("embedding", "item_emb_d128", embedding),
    ):
        if values is not None:
            _check_padding_row(table, column, ids, values)
            in_order[name] = values[order]
    return ItemInfo(ids[order], **in_order)


def read_item_content(
    folder: RawFolder, words: pd.Series, problems: Problems
) -> tuple[np.ndarray | None, pd.DataFrame | None]:
    """The item ids of item_feature, and the contract ``item_content``. ``words`` are by tag id.

    A missing title is an empty text. A tag without a word has none in ``tag_words``.
    """
    table = open_table(folder, "item_feature", problems)
    frame = table.scalars()
    for column in ("txt_emb_BERT", "img_emb_CLIPRN50"):
        if column in table:
            width = SCHEMAS["item_feature"].field(column).type.list_size
            vectors(table, column, width, BATCH_ROWS, keep=False)
    tags = _tags(table) if "item_tags" in table else None
    ids = frame["item_id"].to_numpy() if "item_id" in frame else None
    order = None if ids is None else _order(table, ids)
    if tags is None or order is None or problems.in_file(table.file):
        return ids, None
    return ids, _content(frame.take(order), *take(*tags, order), words)


def with_levels(tags: np.ndarray, content: pd.DataFrame) -> np.ndarray:
    """Likes and views of each item as two more tags, of numbers no tag has: ``[N + 1, 7]``, row 0 zeros.

    So a model that looks up the tags of history items sees their levels: an added feature, for research alone.
    """
    first_free = int(tags.max(initial=0)) + 1
    levels = content[["likes_level", "views_level"]].to_numpy(dtype=tags.dtype)
    own = first_free + levels + np.array([0, LEVELS], dtype=tags.dtype)
    return np.hstack([tags, np.pad(own, ((1, 0), (0, 0)))])


def check_item_emb(folder: RawFolder, problems: Problems) -> np.ndarray | None:
    """Check item_emb, which nothing of ours reads; returns its item ids."""
    table = open_table(folder, "item_emb", problems)
    for column in table.columns:
        if is_list(table.parquet.schema_arrow.field(column).type):
            vectors(table, column, EMBEDDING_WIDTH, BATCH_ROWS, keep=False)
    return table.scalars()["item_id"].to_numpy() if "item_id" in table else None


def check_same_items(info: np.ndarray, other: np.ndarray, other_name: str, problems: Problems) -> None:
    """Every item of item_info, but the padding row, is in the other file, and no more."""
    info, other = (ids[(ids != 0) & ~np.isnan(ids)] for ids in (info, other))
    for lacking, holding, ids in (
        (other_name, "item_info", np.setdiff1d(info, other)),
        ("item_info", other_name, np.setdiff1d(other, info)),
    ):
        if len(ids):
            some = ", ".join(str(int(item)) for item in ids[:EXAMPLES])
            total = f" ({len(ids)} in all)" if len(ids) > EXAMPLES else ""
            problems.add(
                PATHS[lacking],
                f"column 'item_id': expected every item of {PATHS[holding]}; no row for item {some}{total}",
            )


def _order(table: Table, ids: np.ndarray) -> np.ndarray:
    """Rows in ascending item id; ids must run from 1 (0 in item_info) without a gap."""
    order = np.argsort(ids, kind="stable")
    ascending = ids[order]
    gaps = order[np.flatnonzero(np.diff(ascending, prepend=0) > 1)]
    table.problems.add_rows(table.file, "item_id", "ids without gaps, but the one before is missing", gaps, ids[gaps])
    return order


def _tags(table: Table, width: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """item_tags as offsets and tag ids without padding."""
    batches = list(id_lists(table, "item_tags", MAX_TAG, "tag ids", BATCH_ROWS, width))
    lengths = [np.diff(batch.offsets) for batch in batches] or [np.zeros(0, dtype=np.int64)]
    items = [batch.items for batch in batches] or [np.zeros(0, dtype=np.int32)]
    return offsets_of(np.concatenate(lengths)), np.concatenate(items)


def _check_padding_row(table: Table, column: str, ids: np.ndarray, values: np.ndarray) -> None:
    padding = np.flatnonzero(ids == 0)
    filled = padding[values[padding].any(axis=1)]
    found = [next(value for value in values[row].tolist() if value) for row in filled[:EXAMPLES].tolist()]
    table.problems.add_rows(table.file, column, "only zeros in the padding row (item 0)", filled, found)


def _read_words(folder: RawFolder, problems: Problems) -> pd.Series:
    """Words by tag id; none if anything is wrong with the file."""
    table = open_table(folder, "tag_words", problems)
    frame = table.scalars()
    return frame.set_index("tag_id")["word"] if not problems.in_file(table.file) else _no_words()


def _no_words() -> pd.Series:
    return pd.Series([], index=pd.Index([], dtype="int64"), dtype=object)


def _content(ordered: pd.DataFrame, offsets: np.ndarray, tags: np.ndarray, words: pd.Series) -> pd.DataFrame:
    known = np.isin(tags, words.index.to_numpy())
    word = words.reindex(tags[known]).to_numpy(dtype=object)
    word_offsets = np.concatenate([[0], np.cumsum(known)])[offsets]
    return pd.DataFrame(
        {
            "item_id": ordered["item_id"].to_numpy(dtype=np.int32),
            "title": ordered["item_title"].fillna("").to_numpy(),
            "tags": _split(tags, offsets),
            "tag_words": _split(word, word_offsets),
            "likes_level": ordered["likes_level"].to_numpy(dtype=np.int8),
            "views_level": ordered["views_level"].to_numpy(dtype=np.int8),
        }
    )


def _split(values: np.ndarray, offsets: np.ndarray) -> pd.Series:
    """One array per row, as pandas holds a list column."""
    column = np.empty(len(offsets) - 1, dtype=object)
    column[:] = np.split(values, offsets[1:-1])
    return pd.Series(column)
