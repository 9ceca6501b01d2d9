"""Writes a whole simulated challenge data set, and hands back the truth about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pandas as pd

from mmctr_kedro.common.files import atomic_write, remove
from mmctr_kedro.data import content_vectors as vectors
from mmctr_kedro.data.challenge import COVERS, EMBEDDING_WIDTH, RawFolder
from mmctr_kedro.data.challenge_writer import (
    chunks,
    padded_histories,
    table_writer,
    write_item_files,
    write_item_seq,
)
from mmctr_kedro.worlds.items import LEVELS, Items, draw_items
from mmctr_kedro.worlds.pictures import CoverTraits, draw, draw_traits
from mmctr_kedro.worlds.settings import WorldParams, generator
from mmctr_kedro.worlds.titles import write_texts
from mmctr_kedro.worlds.users import (
    ROWS_PER_USER,
    Market,
    Users,
    draw_negatives,
    draw_row_levels,
    draw_users,
    posterior,
)

WORLD_VERSION = "4"  # raise it whenever the same settings give other bytes
COVER_CHUNK = 250
USER_CHUNK = 10_000
RECORD = "world.json"  # in the challenge folder: that it was simulated, and how


def write_world(params: WorldParams, folder: RawFolder) -> pd.DataFrame:
    """Write every challenge file of a simulated world into ``folder``; the same ``params``, the same bytes.

    Args:
        params: The world: its law, seed and sizes; see docs/world.md.
        folder: Where to; an earlier world there is replaced, and nobody else's files are.

    Returns:
        The truth, which is never written there: one row per valid and test row with ``split``, ``row_id`` (int64,
        row number in its file) and the three columns of ``users.posterior``, float64; ranking by ``posterior`` gives
        the best AUC that any model can reach.
    """
    described: dict[str, object] = {"world_version": WORLD_VERSION, "params": params.model_dump()}
    folder.refuse_foreign(RECORD, "simulated")
    _describe(folder, {**described, "finished": False})
    remove(folder.path / COVERS)  # an earlier world's; this one may have fewer or none
    items = draw_items(params)
    # The likes that covers and the views that titles show: the item's own or, where it hides them, any; 0: none at all.
    rng = generator(params.seed, "levels_shown")
    own = np.array([items.likes_level, items.views_level])
    shown = rng.random(own.shape) < params.levels_shown
    likes, views = np.where(shown, own, rng.integers(1, LEVELS + 1, size=own.shape)) * (params.levels_shown > 0)
    texts = write_texts(items.theme, views, params.seed)
    statistics = _draw_covers(draw_traits(items.style, likes, params.seed), params, folder)
    # The vectors of item_info are near v3 of item_emb, not equal, as the organisers' are.
    noise = generator(params.seed, "item_info").normal(0, 1e-4, (len(items), EMBEDDING_WIDTH))
    write_item_files(folder, texts.titles, texts.documents, texts.tags, texts.tag_words, tuple(own), statistics, noise)
    truth = _write_users(items, params, folder)
    _describe(folder, described)
    return truth


def _describe(folder: RawFolder, content: dict[str, object]) -> None:
    with atomic_write(folder.path / RECORD) as path:
        path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _draw_covers(traits: CoverTraits, params: WorldParams, folder: RawFolder) -> np.ndarray:
    """Write ``item_images/{id}.jpg``; return the statistics of these pictures as read back, made small.

    In a world without covers they are drawn small at once and not written.
    """
    from PIL import Image

    size = params.cover_size if params.covers else vectors.THUMBNAIL
    statistics = []
    with atomic_write(folder.path / COVERS) if params.covers else nullcontext(folder.path) as room:
        if params.covers:
            room.mkdir()
        for chunk in chunks(len(traits.pattern), COVER_CHUNK):
            drawn = CoverTraits(*(trait[chunk] for trait in traits))
            pictures = draw(drawn, size, generator(params.seed, "cover_noise", chunk.start))
            if params.covers:
                thumbnails = np.empty((len(pictures), vectors.THUMBNAIL, vectors.THUMBNAIL, 3), dtype=np.uint8)
                for place, picture in enumerate(pictures):
                    path = room / f"{chunk.start + place + 1}.jpg"
                    Image.fromarray(picture).save(path, quality=85)
                    with Image.open(path) as image:
                        thumbnails[place] = np.asarray(image.resize(thumbnails.shape[1:3], Image.Resampling.BOX))
                pictures = thumbnails
            statistics.append(vectors.image_statistics(pictures))
    return np.concatenate(statistics)


def _write_users(items: Items, params: WorldParams, folder: RawFolder) -> pd.DataFrame:
    """Write train, valid, test and item_seq; return the truth."""
    rows = {"train": params.train_rows, "valid": params.valid_rows, "test": params.test_rows}
    counts = [-(-count // ROWS_PER_USER) for count in rows.values()]
    ids = generator(_user_seed(params), "user_ids").permutation(sum(counts) + params.silent_users) + 1
    parts = [np.sort(part) for part in np.split(ids, np.cumsum(counts))]
    histories, truth = [], []
    for (split, count), user_ids in zip(rows.items(), parts, strict=False):
        with table_writer(folder, split) as append:
            for chunk, market, users, rng in _crowds(split, len(user_ids), items, params):
                columns, item, levels = _rows(market, users, rng)
                first = chunk.start * ROWS_PER_USER
                kept = min(item.size, count - first)  # the last test user may have fewer rows
                row_id = np.arange(first, first + kept)
                columns["user_id"] = np.repeat(user_ids[chunk], ROWS_PER_USER)
                append({name: column[:kept] for name, column in columns.items()} | {"ID": row_id})
                histories.append(users.history)
                if split != "train":
                    known = posterior(market, users, item, levels)
                    known = {name: chances.ravel()[:kept] for name, chances in known.items()}
                    truth.append(pd.DataFrame({"split": split, "row_id": row_id, **known}))
    histories += [users.history for *_, users, _ in _crowds("silent", params.silent_users, items, params)]
    # item_seq has one row per user, by user id; the history alone, never a target.
    user = np.concatenate(parts)
    lengths = np.concatenate([(history >= 0).sum(axis=1) for history in histories])
    clicked = np.concatenate([history[history >= 0] for history in histories]) + 1
    by_user, order = np.argsort(np.repeat(user, lengths), kind="stable"), np.argsort(user)
    write_item_seq(folder, user[order], lengths[order], clicked[by_user])
    return pd.concat(truth, ignore_index=True)


def hidden_rows(params: WorldParams, split: str = "test") -> pd.DataFrame:
    """Item id and label of every row of a split, drawn again: ``item_id`` and ``label`` int64, in row order.

    For scoring alone: test is written without labels, and nothing that trains or predicts may call this.
    """
    count = {"train": params.train_rows, "valid": params.valid_rows, "test": params.test_rows}[split]
    crowds = _crowds(split, -(-count // ROWS_PER_USER), draw_items(params), params)
    drawn = [_rows(market, users, rng)[0] for _, market, users, rng in crowds]
    return pd.DataFrame(
        {name: np.concatenate([columns[name] for columns in drawn])[:count] for name in ("item_id", "label")}
    )


def _user_seed(params: WorldParams) -> int:
    return params.seed if params.user_seed is None else params.user_seed


def _crowds(
    split: str, count: int, items: Items, params: WorldParams
) -> Iterator[tuple[slice, Market, Users, np.random.Generator]]:
    """``count`` users of a split in chunks, the market they meet, and each chunk's own random stream."""
    offered = ~items.is_new if split in ("train", "silent") else np.ones(len(items), dtype=bool)
    market = Market(items, offered, params, params.train_negatives if split == "train" else params.eval_negatives)
    for chunk in chunks(count, USER_CHUNK):
        rng = generator(_user_seed(params), split, chunk.start)
        yield chunk, market, draw_users(market, chunk.stop - chunk.start, params, rng), rng


def _rows(
    market: Market, users: Users, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Four rows per user in random order: as columns of the challenge's files, and items and levels ``[U, 4]``."""
    item = np.column_stack([users.click, draw_negatives(market, users.history, rng)])
    levels = draw_row_levels(market, item, rng)
    order = rng.permuted(np.tile(np.arange(ROWS_PER_USER), (len(item), 1)), axis=1)
    item, levels = (np.take_along_axis(values, order, axis=1) for values in (item, levels))
    columns = {
        "item_seq": np.repeat(padded_histories(users.history), ROWS_PER_USER, axis=0),
        "item_id": item.ravel() + 1,
        "likes_level": levels.ravel() // LEVELS + 1,
        "views_level": levels.ravel() % LEVELS + 1,
        "label": (order == 0).astype(np.int64).ravel(),
    }
    return columns, item, levels
