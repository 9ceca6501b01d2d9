"""What an item embedding is worth, told in seconds and without any CTR model: retrieval, neighbours, geometry.

No label is read: queries are histories of valid users, whose newest click is the answer. Users whom train knows are
left out where there are others, as a variant may have learnt from their very clicks. N items, Q queries.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.fusion import MODALITIES

CUTS = (10, 100)
RECENT = 10  # clicks that a user is known by
MAX_QUERIES = 5_000
MAX_NEIGHBOURHOODS = 2_000
NEIGHBOURS = 10
RANDOM_PAIRS = 100_000
CHUNK = 256  # queries scored at a time against every item
SEED = 20242025
DIGITS = 6

Found = dict[str, Any]


def judge(embedding: np.ndarray, item_tags: np.ndarray, levels: np.ndarray, train: Clicks, valid: Clicks) -> Found:
    """Every measure of one embedding.

    Args:
        embedding: ``[N+1, D]`` float32, row 0 zeros.
        item_tags: ``[N+1, 5]`` int, 0 = no tag.
        levels: ``[N, 2]`` int, likes and views of items 1..N.
        train: What decides which items are cold: those that no train row and no train history has.
        valid: Its histories are the queries; its rows and labels are not looked at.
    """
    unit, chosen = _unit(embedding), asked_histories(train, valid)
    cold = ~shown_items(train, len(embedding))
    clicks = np.bincount(train.history_items, minlength=len(embedding))[1:]
    return {
        "users_known_to_train": bool(np.isin(valid.history_user[chosen], train.history_user).any()),
        **_retrieval(unit, valid, chosen, cold),
        "tags": tag_overlap(unit, item_tags),
        "geometry": geometry(embedding[1:]),
        "told_by_ridge": told_by_ridge(embedding[1:], levels, clicks),
    }


def next_item(embedding: np.ndarray, train: Clicks, valid: Clicks) -> Found:
    """The first measure alone: is a user's newest click among the items nearest to those before? As for ``judge``."""
    unit = _unit(embedding)
    return _of_places(*nearer_and_alike(unit, *next_item_queries(unit, valid, asked_histories(train, valid))))


def told_by_ridge(vectors: np.ndarray, levels: np.ndarray, clicks: np.ndarray) -> dict[str, float | None]:
    """How well a linear model reads levels and popularity off the vectors: R2 of five-fold ridge regression over items.

    Where rows carry levels by their label, as in the challenge, an embedding is worth what it tells of them: a network
    that knows an item's levels sees which rows do not fit. That is the leak's doing and worth nothing in use.

    Args:
        vectors: ``[N, D]``.
        levels: ``[N, 2]`` int.
        clicks: ``[N]``, each item's clicks in train's histories; read off as log(1 + clicks).
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = KFold(5, shuffle=True, random_state=SEED)
    found: dict[str, float | None] = {}
    for name, wanted in (("likes", levels[:, 0]), ("views", levels[:, 1]), ("popularity", np.log1p(clicks))):
        wanted = wanted.astype(np.float64)
        if len(wanted) < 10 or not wanted.std() > 0:
            found[name] = None
            continue
        guess = cross_val_predict(make_pipeline(StandardScaler(), Ridge(100.0)), vectors, wanted, cv=folds)
        found[name] = round(1 - float(((wanted - guess) ** 2).mean() / wanted.var()), 3)  # BLAS may round the rest
    return found


def of_each_modality(embedding: np.ndarray, alone: np.ndarray, train: Clicks, valid: Clicks) -> Found | None:
    """Retrieval and neighbourhoods by one modality alone, beside both; None where the embedding reads neither.

    Args:
        alone: ``[2, N+1, D]`` float32, what the same fusion gives for each of ``MODALITIES``.

    Returns:
        By modality: next_item and co_click of all items, and ``neighbours_kept``, the share of an item's ten nearest
        that are among its ten nearest by both modalities too.
    """
    if np.array_equal(alone[0], alone[1]):
        return None
    unit, found = _unit(embedding), {}
    chosen = asked_histories(train, valid)
    items = np.arange(1, len(unit))
    asked = _some(items, MAX_NEIGHBOURHOODS)
    nearest = _nearest(unit, asked, items)
    for modality, vectors in zip(MODALITIES, alone, strict=True):
        of_one = _unit(vectors)
        kept = _nearest(of_one, asked, items)
        asked_of = _retrieval(of_one, valid, chosen, np.zeros(len(unit), dtype=bool))
        found[modality] = {
            **{question: answers["all"] for question, answers in asked_of.items()},
            "neighbours_kept": _round((nearest[:, :, None] == kept[:, None, :]).any(axis=2).mean()),
        }
    return found


def shown_items(train: Clicks, rows: int) -> np.ndarray:
    """Which items some train row or train history has: ``[rows]`` bool by item id."""
    shown = np.zeros(rows, dtype=bool)
    shown[train.item], shown[train.history_items] = True, True
    return shown


def asked_histories(train: Clicks, valid: Clicks) -> np.ndarray:
    """Histories of valid users whom train does not know; all of them where it knows everybody."""
    new = np.flatnonzero(~np.isin(valid.history_user, train.history_user))
    return new if len(new) else np.arange(len(valid.history_user))


def _nearest(unit: np.ndarray, asked: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The ten nearest, by cosine, of each item asked, itself left out: ``[n, 10]`` item ids, in no order.

    Args:
        among: Item ids to look among, ascending; ``asked`` are some of them.
    """
    found = []
    for start in range(0, len(asked), CHUNK):
        items = asked[start : start + CHUNK]
        scores = unit[items] @ unit[among].T
        scores[np.arange(len(items)), np.searchsorted(among, items)] = -np.inf
        nearest = np.argpartition(-scores, min(NEIGHBOURS, len(among)) - 1, axis=1)[:, :NEIGHBOURS]
        found.append(among[nearest])
    return np.concatenate(found)


# --- retrieval -------------------------------------------------------------------------------------------


def next_item_queries(
    unit: np.ndarray, clicks: Clicks, histories: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """One query per history of two clicks or more: the mean of the last ``RECENT`` before the newest.

    A history whose newest item was clicked before tells nothing, and is left out.

    Returns:
        query: ``[Q, D]`` unit vectors.
        answer: ``[Q]``, each user's newest click.
        known: What each query must not find: the user's earlier clicks.
    """
    ends = zip(clicks.history_offsets[histories], clicks.history_offsets[histories + 1], strict=True)
    clicked = [clicks.history_items[begin:end] for begin, end in ends]
    asking = [place for place, items in enumerate(clicked) if len(items) > 1 and items[-1] not in items[:-1]]
    chosen = [clicked[place] for place in _some(np.array(asking, dtype=np.int64), MAX_QUERIES)]
    known = [items[:-1] for items in chosen]
    query = np.empty((len(known), unit.shape[1]), dtype=np.float32)
    for place, items in enumerate(known):
        query[place] = unit[items[-RECENT:]].sum(axis=0)
    return _unit(query), np.array([items[-1] for items in chosen], dtype=np.int64), known


def co_click_queries(
    unit: np.ndarray, clicks: Clicks, histories: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """From one item to the next one its user clicked, over distinct pairs; as ``next_item_queries``."""
    lengths = np.diff(clicks.history_offsets)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    together = (owner[1:] == owner[:-1]) & np.isin(owner[1:], histories)
    pairs = np.stack([clicks.history_items[:-1][together], clicks.history_items[1:][together]], axis=1)
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]].astype(np.int64), axis=0)
    pairs = pairs[_some(np.arange(len(pairs)), MAX_QUERIES)]
    return unit[pairs[:, 0]], pairs[:, 1], list(pairs[:, :1])


def _retrieval(unit: np.ndarray, clicks: Clicks, histories: np.ndarray, cold: np.ndarray) -> Found:
    """Both questions, answered over all items and over those that are ``cold``, ``[N + 1]`` bool."""
    found = {}
    for question, queries in {"next_item": next_item_queries, "co_click": co_click_queries}.items():
        query, answer, known = queries(unit, clicks, histories)
        nearer, alike = nearer_and_alike(unit, query, answer, known)
        of_cold = cold[answer]
        found[question] = {"all": _of_places(nearer, alike), "cold": _of_places(nearer[of_cold], alike[of_cold])}
    return found


def nearer_and_alike(
    unit: np.ndarray, query: np.ndarray, answer: np.ndarray, known: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """How many items are nearer to each query than its answer, and how many as near (itself one): ``[Q]`` each.

    By cosine, among all items but those known.
    """
    nearer, alike = np.empty(len(query), np.int64), np.empty(len(query), np.int64)
    for start in range(0, len(query), CHUNK):
        part = slice(start, start + CHUNK)
        scores = query[part] @ unit.T
        own = np.take_along_axis(scores, answer[part, None], axis=1)
        scores[:, 0] = -np.inf
        for row, items in enumerate(known[part]):
            scores[row, items] = -np.inf
        nearer[part], alike[part] = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    return nearer, alike


def _of_places(nearer: np.ndarray, alike: np.ndarray) -> Found:
    """What is expected if items alike come in any order: vectors that tell nothing apart get chance."""
    if not len(nearer):
        return {"queries": 0, **{f"recall_at_{cut}": None for cut in CUTS}, "mrr": None}
    recall = {f"recall_at_{cut}": _round(np.clip((cut - nearer) / alike, 0, 1).mean()) for cut in CUTS}
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, (nearer + alike).max() + 1))])
    return {
        "queries": len(nearer),
        **recall,
        "mrr": _round(((harmonic[nearer + alike] - harmonic[nearer]) / alike).mean()),
    }


# --- neighbours and geometry -----------------------------------------------------------------------------


def tag_overlap(unit: np.ndarray, item_tags: np.ndarray) -> Found:
    """How often an item's ten nearest share a tag with it, beside items drawn at random, of items with tags."""
    tagged = np.flatnonzero(item_tags.any(axis=1))
    asked = _some(tagged, MAX_NEIGHBOURHOODS)
    if len(tagged) <= NEIGHBOURS:
        return {"items": len(asked), "neighbours_share_a_tag": None, "random_items_share_a_tag": None}
    pairs = np.random.default_rng(SEED).integers(0, len(tagged), (RANDOM_PAIRS, 2))
    pairs = tagged[pairs[pairs[:, 0] != pairs[:, 1]]]
    found: Found = {"items": len(asked)}
    for name, left, right in (
        ("neighbours_share_a_tag", np.repeat(asked, NEIGHBOURS), _nearest(unit, asked, tagged).ravel()),
        ("random_items_share_a_tag", pairs[:, 0], pairs[:, 1]),
    ):
        one, other = item_tags[left][:, :, None], item_tags[right][:, None, :]
        found[name] = _round(((one == other) & (one > 0)).any(axis=(1, 2)).mean())
    return found


def geometry(vectors: np.ndarray) -> Found:
    """How the vectors ``[N, D]`` fill their space.

    ``effective_rank``: exponential of the entropy of the singular values' shares (Roy & Vetterli, 2007).
    ``isotropy``: smallest over largest partition function along the principal axes, 1 where no direction is
    special (Mu & Viswanath, arXiv:1702.01417), of unit vectors. ``mean_cosine``: of pairs drawn at random.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    singular = np.sqrt(np.maximum(np.linalg.eigvalsh(centred.T @ centred), 0))
    unit = _unit(vectors).astype(np.float64)
    if not singular.sum() > 0:
        return {"effective_rank": None, "isotropy": None, "mean_cosine": None}
    share = singular[singular > 0] / singular.sum()
    axes = np.linalg.eigh(unit.T @ unit)[1]
    partition = np.exp(unit @ np.concatenate([axes, -axes], axis=1)).sum(axis=0)
    pairs = np.random.default_rng(SEED).integers(0, len(unit), (RANDOM_PAIRS, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    cosine = np.einsum("nd,nd->n", unit[pairs[:, 0]], unit[pairs[:, 1]])
    return {
        "effective_rank": _round(np.exp(-(share * np.log(share)).sum())),
        "isotropy": _round(partition.min() / partition.max()),
        "mean_cosine": _round(cosine.mean()) if len(cosine) else None,
    }


# --- helpers ---------------------------------------------------------------------------------------------


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; zeros stay zeros."""
    length = np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def _some(places: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the places, the same ones every time, ascending."""
    if len(places) <= most:
        return places
    return np.sort(np.random.default_rng(SEED).choice(places, most, replace=False))


def _round(value: Any) -> float:
    return round(float(value), DIGITS)
