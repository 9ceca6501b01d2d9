"""The page of an embedding: its scorecard, how everything lies, what lies near what.

Titles are strangers' text: escaped, cut.

N items, Q queries, K neighbours each, M items on the map.
"""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.evaluation.scorecard import shown_items
from mmctr_kedro.evaluation.slices import train_clicks
from mmctr_kedro.reports.figures import INK, MUTED, blank
from mmctr_kedro.reports.items import cut, pictures, titles
from mmctr_kedro.reports.rendering import page

SEED = 20242025
QUERIES = 4  # of each kind
NEIGHBOURS = 8
TAGS = 5  # shown of an item
MAPPED = 2_000  # items on the map: more are a blot, and t-SNE takes 4 s for these
COLD = "never in train"
# Okabe & Ito (2008), made for colour-blind eyes; black last, as it is the loudest.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
OTHER = "#c3cad2"


def write_embedding_report(
    item_content: pd.DataFrame,
    item_tags: np.ndarray,
    clicks_train: Clicks,
    item_embedding: np.ndarray,
    covers: Covers,
    map: Any,
    scorecard: dict[str, Any],
    cover_report: dict[str, Any],
) -> str:
    """The page of an embedding, as HTML that needs no network; about a dozen items stand beside their nearest.

    Args:
        item_content: One row per item, ids 1..N ascending, with ``title`` and ``tag_words``.
        item_tags: ``[N + 1, 5]`` int, named where the data has no words for tags.
        clicks_train: What is popular and what is cold; the queries are the same for every embedding.
        item_embedding: ``[N + 1, D]`` float32, row 0 zeros.
        covers: Read once, for what the page shows; squeezed into a square, as the encoder sees them.
        map: The figure that ``draw_map`` made.
        scorecard, cover_report: Shown as they are.
    """
    shown = shown_items(clicks_train, len(item_embedding))
    asked = choose_queries(clicks_train, shown)
    queries = np.concatenate(list(asked.values()))
    near, cosine = nearest(item_embedding, queries)
    title, tags = titles(item_content), tag_names(item_content, item_tags)
    items: dict[int, dict[str, Any]] = {
        item: {"title": cut(title[item]), "tags": tags[item - 1], "cold": not shown[item], **picture}
        for item, picture in pictures(covers, np.union1d(queries, near)).items()
    }
    rows = {
        query: (
            items[query] | {"tags": items[query]["tags"][:TAGS]},
            [(items[item], value) for item, value in zip(*found, strict=True)] if item_embedding[query].any() else [],
        )
        for query, *found in zip(queries.tolist(), near.tolist(), cosine.tolist(), strict=True)
    }
    return page(
        "embedding",
        {"map": map},
        title="Item embedding",
        scorecard=scorecard,
        cover_report=cover_report,
        neighbours=near.shape[1],
        items=len(item_content),
        kinds={kind: [rows[query] for query in of_kind.tolist()] for kind, of_kind in asked.items()},
        cold=COLD,
    )


def choose_queries(train: Clicks, shown: np.ndarray) -> dict[str, np.ndarray]:
    """Item ids by why they are looked at, ``QUERIES`` of each kind where there are as many, no item twice.

    Args:
        shown: ``[N + 1]`` bool, which items train shows.
    """
    rng = np.random.default_rng(SEED)
    items = np.arange(1, len(shown))
    clicks = train_clicks(train, items)
    ranked = items[np.argsort(-clicks, kind="stable")]
    popular = ranked[: min(QUERIES, (clicks > 0).sum())]
    cold = rng.permutation(items[~shown[1:]])[:QUERIES]
    drawn = rng.permutation(np.setdiff1d(items, np.union1d(popular, cold)))[:QUERIES]
    return {"Most clicked in train": popular, "Never shown in train": cold, "Drawn at random": drawn}


def nearest(embedding: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of all other items by cosine, nearest first: ids ``[Q, K]`` and cosines ``[Q, K]``.

    K is ``NEIGHBOURS``, or N - 1 where there are fewer. Memory is Q x N: only the queries are compared.
    A vector of zeros has cosine 0 with everything.
    """
    from sklearn.preprocessing import normalize

    unit = normalize(embedding)
    # Rounded, vectors that are alike tie, and go by id, whatever the last bit of a product says.
    cosine = np.round(unit[asked] @ unit[1:].T, 5)
    cosine[np.arange(len(asked)), asked - 1] = -np.inf
    order = np.argsort(-cosine, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(unit) - 2)]
    return order + 1, np.take_along_axis(cosine, order, axis=1)


def draw_map(
    item_content: pd.DataFrame, item_tags: np.ndarray, clicks_train: Clicks, item_embedding: np.ndarray
) -> Any:
    """At most ``MAPPED`` items in the plane, as a plotly figure; colours are the tags that most items have.

    Args:
        item_content: One row per item, ids 1..N ascending, with ``title`` and ``tag_words``.
        item_tags: ``[N + 1, 5]`` int, named where the data has no words for tags.
        clicks_train: Which items are cold, and marked.
        item_embedding: ``[N + 1, D]`` float32, row 0 zeros.
    """
    items = np.arange(1, len(item_embedding))
    if len(items) > MAPPED:
        items = np.sort(np.random.default_rng(SEED).choice(items, MAPPED, replace=False))
    title, tags = titles(item_content), tag_names(item_content, item_tags)
    # The tags that most items have, equals by name; an item's group is the first of them that it has, or none.
    count = Counter(tag for of_item in tags for tag in set(of_item))
    top = sorted(count, key=lambda tag: (-count[tag], tag))[: len(COLOURS)]
    group = np.array([next((n for n, tag in enumerate(top) if tag in tags[item - 1]), len(top)) for item in items])
    cold = ~shown_items(clicks_train, len(item_embedding))[items]
    place = positions(item_embedding[items])
    said = np.array(  # plotly reads some HTML but knows no &quot;, which it shows literally
        [
            f"<b>{escape(cut(title[item]), quote=False)}</b><br>"
            f"{escape(', '.join(tags[item - 1][:TAGS]), quote=False)}<br>item {item}"
            for item in items.tolist()
        ],
        dtype=object,
    )

    figure = blank(height=680)
    for number in (len(top), *range(len(top))):  # grey lies below the colours, and last in the legend
        name, colour = (top[number], COLOURS[number]) if number < len(top) else ("other tags or none", OTHER)
        of_group = group == number
        for is_cold in (False, True):
            here = of_group & (cold == is_cold)
            if here.any():
                figure.add_scatter(
                    x=place[here, 0].tolist(), y=place[here, 1].tolist(), mode="markers",
                    name=escape(name, quote=False), legendgroup=str(number), legendrank=number + 1,
                    showlegend=not is_cold or not (of_group & ~cold).any(),
                    marker=_marker(colour, is_cold), hovertext=said[here].tolist(), hoverinfo="text",
                )  # fmt: skip
    figure.add_scatter(
        x=[None], y=[None], mode="markers", marker=_marker("white", is_cold=True), name=COLD, legendrank=99,
    )  # fmt: skip
    part = f"{len(items):,} of " if len(items) < len(item_content) else ""
    words = f"{part}{len(item_content):,} items: near is alike, far tells little (t-SNE)"
    figure.update_layout(
        margin={"l": 16, "r": 16, "t": 48, "b": 16}, title={"text": words, "font_size": 15, "x": 0.01},
        legend={"orientation": "v", "x": 1.01, "y": 1, "yanchor": "top", "itemsizing": "constant"},
    )  # fmt: skip
    bare = {"showticklabels": False, "ticks": "", "showgrid": False, "showline": False}
    figure.update_xaxes(**bare)
    return figure.update_yaxes(scaleanchor="x", **bare)


def positions(vectors: np.ndarray) -> np.ndarray:
    """A place in the plane for each of ``[M, D]`` vectors: ``[M, 2]`` float32, the same at every run.

    t-SNE (van der Maaten & Hinton, 2008) of unit vectors: what matters of an embedding is who is near whom, and
    that it keeps. The two first principal axes show next to nothing of a whitened embedding, whose directions
    all have one variance. Fewer than four vectors, or vectors all alike, stay at the origin.
    """
    from sklearn.manifold import TSNE
    from sklearn.preprocessing import normalize
    from threadpoolctl import threadpool_limits

    unit = normalize(vectors)
    if len(unit) < 4 or not np.ptp(unit, axis=0).max() > 1e-6:
        return np.zeros((len(unit), 2), dtype=np.float32)
    perplexity = min(30.0, (len(unit) - 1) / 3)  # the library's default, or as many neighbours as there are
    with threadpool_limits(1):  # more threads add in another order, which t-SNE makes into another map
        found = TSNE(perplexity=perplexity, init="pca", max_iter=500, random_state=SEED).fit_transform(unit)
    return np.round(found, 2)


def tag_names(item_content: pd.DataFrame, item_tags: np.ndarray) -> list[list[str]]:
    """The tags of items 1..N in words, cut; where the data has no words at all, as ``tag 17``."""
    words = [[cut(str(word)) for word in of_item] for of_item in item_content["tag_words"]]
    return words if any(words) else [[f"tag {tag}" for tag in of_item if tag] for of_item in item_tags[1:].tolist()]


def _marker(colour: str, is_cold: bool) -> dict[str, Any]:
    if is_cold:
        return {"symbol": "diamond", "size": 10, "color": colour, "line": {"width": 1.5, "color": INK}}
    edge = {"width": 0.5, "color": MUTED}  # without one, yellow is lost on white
    return {"symbol": "circle", "size": 6, "color": colour, "line": edge}
