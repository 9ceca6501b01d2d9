"""Two pictures of an embedding: what lies near what, and how everything lies. Titles are strangers' text: escaped, cut.

N items, Q queries, K neighbours each, M items on the map.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.images import Refused, decoded_batches
from mmctr_kedro.evaluation import scorecard
from mmctr_kedro.evaluation.slices import train_clicks
from mmctr_kedro.reports.ctr_figures import INK, MUTED, styled
from mmctr_kedro.reports.page import html_page, paragraph

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

SEED = 20242025
QUERIES = 4  # of each kind
NEIGHBOURS = 8
SIDE = 96  # pixels of a thumbnail
QUALITY = 80  # of its JPEG: some 3 kB
TITLE = 70  # characters shown of a title
TAGS = 5  # tags shown of an item
MAPPED = 2_000  # items on the map: more are a blot, and t-SNE takes 4 s for these
COLD = "never in train"
NO_COVER = {"missing": "no cover", "unreadable": "cover cannot be read", "tiny": "cover too small"}
# Okabe & Ito (2008), made for colour-blind eyes; black last, as it is the loudest.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
OTHER = "#c3cad2"

_CSS = """
main { max-width: 1210px; }
.row { display: grid; grid-template-columns: 196px; grid-auto-flow: column; grid-auto-columns: 100px;
  gap: 16px; overflow-x: auto; border-top: 1px solid var(--line); padding: 16px 0 14px; }
.row figure { margin: 0; min-width: 0; font-size: 13px; line-height: 1.35; overflow-wrap: anywhere; }
.row .query { border-right: 1px solid var(--line); padding-right: 12px; }
.row .query .title { font-weight: 600; font-size: 14px; }
.row img, .none { display: block; width: 96px; height: 96px; border-radius: 6px; }
.none { display: grid; place-content: center; text-align: center; padding: 8px; background: var(--soft);
  border: 1px solid var(--line); color: var(--muted); font-size: 12px; }
.row figcaption { margin-top: 6px; }
.title { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 4; overflow: hidden; }
.tags { color: var(--muted); }
.shared { color: var(--accent); }
.cold { font-size: 11px; border: 1px solid #c4561a; color: #c4561a; border-radius: 4px; padding: 0 4px;
  white-space: nowrap; }
"""


# --- neighbours ------------------------------------------------------------------------------------------


def draw_neighbours(
    item_content: pd.DataFrame,
    covers: Covers,
    item_tags: np.ndarray,
    clicks_train: Clicks,
    item_embedding: np.ndarray,
) -> str:
    """About a dozen items, each beside its nearest by cosine, as one HTML page that needs no network.

    Args:
        item_content: One row per item, ids 1..N ascending, with ``title`` and ``tag_words``.
        covers: Read once, for what the page shows; squeezed into a square, as the encoder sees them.
        item_tags: ``[N + 1, 5]`` int, named where the data has no words for tags.
        clicks_train: What is popular and what is cold; the queries are the same for every embedding.
        item_embedding: ``[N + 1, D]`` float32, row 0 zeros.
    """
    shown = scorecard.shown_items(clicks_train, len(item_embedding))
    asked = choose_queries(clicks_train, shown)
    queries = np.concatenate(list(asked.values()))
    near, cosine = nearest(item_embedding, queries)
    tags = tag_names(item_content, item_tags)
    items = {
        item: _Item(_title(item_content, item), tags[item - 1], not shown[item], picture)
        for item, picture in _pictures(covers, np.union1d(queries, near))
    }
    rows = {
        query: _row(items[query], [(items[item], value) for item, value in zip(*found, strict=True)])
        if item_embedding[query].any()
        else _row(items[query], [])
        for query, *found in zip(queries.tolist(), near.tolist(), cosine.tolist(), strict=True)
    }
    body = [
        "<h1>Nearest neighbours</h1>",
        paragraph(
            f"Left an item, right its {near.shape[1]} nearest of {len(item_content):,} by cosine, which stands below"
            " each cover, with the tags that both have. Covers are squeezed into a square, as encoders see them.",
            "lead",
        ),
    ]
    for kind, of_kind in asked.items():
        if len(of_kind):
            body += [f"<h2>{kind}</h2>", *(rows[item] for item in of_kind.tolist())]
    return html_page("Nearest neighbours", "\n".join(body), {}, _CSS)


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


class _Item(NamedTuple):
    title: str
    tags: list[str]
    cold: bool
    picture: str  # HTML


def _row(query: _Item, near: list[tuple[_Item, float]]) -> str:
    tags = ", ".join(_text(tag) for tag in query.tags[:TAGS])
    cells = [_cell(query, "query", f'<div class="tags">{tags}</div>')]
    for item, cosine in near:
        both = ", ".join(_text(tag) for tag in query.tags[:TAGS] if tag in item.tags)
        cells.append(_cell(item, "near", f'<div class="shared">{both}</div>', f"<b>{cosine:.2f}</b> "))
    if not near:
        cells.append('<p class="note">nothing is near it</p>')
    return f'<div class="row">{"".join(cells)}</div>'


def _cell(item: _Item, kind: str, below: str, cosine: str = "") -> str:
    mark = f'<span class="cold">{COLD}</span>' if item.cold else ""
    title = f'<div class="title" dir="auto">{escape(item.title)}</div>'
    return f'<figure class="{kind}">{item.picture}<figcaption>{cosine}{mark}{title}{below}</figcaption></figure>'


def _text(tag: str) -> str:
    """A tag as HTML that keeps its direction of writing to itself."""
    return f"<bdi>{escape(cut(tag))}</bdi>"


def _pictures(covers: Covers, items: np.ndarray) -> Iterator[tuple[int, str]]:
    """The cover of each item as HTML, or a box that says why there is none. Archives are read once."""
    for batch in decoded_batches(covers.read(items), SIDE, smallest_side=1, batch_size=64, threads=1):
        for item, found in batch:
            yield item, f'<div class="none">{NO_COVER[found.kind]}</div>' if isinstance(found, Refused) else _img(found)


def _img(pixels: np.ndarray) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}">'


# --- map -------------------------------------------------------------------------------------------------


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
    from plotly.graph_objects import Figure

    items = np.arange(1, len(item_embedding))
    if len(items) > MAPPED:
        items = np.sort(np.random.default_rng(SEED).choice(items, MAPPED, replace=False))
    tags = tag_names(item_content, item_tags)
    top = most_frequent(tags, len(COLOURS))
    # The first of top that an item has; len(top) where it has none of them.
    group = np.array([next((n for n, tag in enumerate(top) if tag in tags[item - 1]), len(top)) for item in items])
    cold = ~scorecard.shown_items(clicks_train, len(item_embedding))[items]
    place = positions(item_embedding[items])
    said = np.array([_said(_title(item_content, item), tags[item - 1], item) for item in items.tolist()], dtype=object)

    figure = Figure()
    names = [*(_plain(tag) for tag in top), "other tags or none"]
    for number in (len(top), *range(len(top))):  # grey lies below the colours, and last in the legend
        for is_cold in (False, True):
            here = (group == number) & (cold == is_cold)
            if here.any():
                figure.add_scatter(
                    x=place[here, 0].tolist(), y=place[here, 1].tolist(), mode="markers", name=names[number],
                    legendgroup=str(number), legendrank=number + 1,
                    showlegend=not is_cold or not ((group == number) & ~cold).any(),
                    marker=_marker(OTHER if number == len(top) else COLOURS[number], is_cold),
                    hovertext=said[here].tolist(), hoverinfo="text",
                )  # fmt: skip
    figure.add_scatter(
        x=[None], y=[None], mode="markers", marker=_marker("white", is_cold=True), name=COLD, legendrank=99,
    )  # fmt: skip
    return _laid_out(figure, len(items), len(item_content))


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


def most_frequent(tags: list[list[str]], most: int) -> list[str]:
    """The tags that most items have, most first, equals by name."""
    count = Counter(tag for of_item in tags for tag in set(of_item))
    return sorted(count, key=lambda tag: (-count[tag], tag))[:most]


def _marker(colour: str, is_cold: bool) -> dict[str, Any]:
    if is_cold:
        return {"symbol": "diamond", "size": 10, "color": colour, "line": {"width": 1.5, "color": INK}}
    edge = {"width": 0.5, "color": MUTED}  # without one, yellow is lost on white
    return {"symbol": "circle", "size": 6, "color": colour, "line": edge}


def _laid_out(figure: Figure, mapped: int, items: int) -> Figure:
    styled(figure, height=680)
    of_all = f"{mapped:,} of {items:,} items" if mapped < items else f"{items:,} items"
    figure.update_layout(
        margin={"l": 16, "r": 16, "t": 48, "b": 16},
        title={"text": f"{of_all}: near is alike, far tells little (t-SNE)", "font_size": 15, "x": 0.01},
        legend={"orientation": "v", "x": 1.01, "y": 1, "yanchor": "top", "itemsizing": "constant"},
    )
    bare = {"showticklabels": False, "ticks": "", "showgrid": False, "showline": False}
    figure.update_xaxes(**bare)
    figure.update_yaxes(scaleanchor="x", **bare)
    return figure


def _said(title: str, tags: list[str], item: int) -> str:
    return "<br>".join([f"<b>{_plain(title)}</b>", _plain(", ".join(tags[:TAGS])), f"item {item}"])


def _plain(text: str) -> str:
    """As plotly, which reads some HTML but knows no &quot;, shows it literally."""
    return escape(cut(text), quote=False)


# --- words -----------------------------------------------------------------------------------------------


def tag_names(item_content: pd.DataFrame, item_tags: np.ndarray) -> list[list[str]]:
    """The tags of items 1..N in words; where the data has no words at all, as ``tag 17``."""
    words = [[str(word) for word in of_item] for of_item in item_content["tag_words"]]
    return words if any(words) else [[f"tag {tag}" for tag in of_item if tag] for of_item in item_tags[1:].tolist()]


def cut(text: str) -> str:
    """On one line, of ``TITLE`` characters at most."""
    line = " ".join(text.split())
    return line if len(line) <= TITLE else line[: TITLE - 1].rstrip() + "…"


def _title(item_content: pd.DataFrame, item: int) -> str:
    """The title, cut, or the item's number where there is none."""
    return cut(item_content["title"].iloc[item - 1] or "") or f"item {item}"
