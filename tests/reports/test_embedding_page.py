"""The gallery of neighbours and the map: what they show, and what they make of strange items."""

import base64
import io
import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.reports import embedding_page
from mmctr_kedro.reports.figures import blank

HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'

SCORECARD = {"next_item": {"all": {"recall_at_100": 0.25}}, "co_click": {"all": {"recall_at_100": None}}}
COVER_REPORT = {
    "items": 3,
    "encoded": 1,
    "missing": {"count": 1, "item_ids": [2]},
    "unreadable": {"count": 0, "item_ids": [], "reasons": {}},
    "tiny": {"count": 1, "item_ids": [3], "reasons": {"3": "2 x 2 pixels"}},
}


class CoversInMemory:
    """The covers store, from a dict; counts how often it is read."""

    def __init__(self, covers: dict[int, bytes]) -> None:
        self.covers, self.reads, self.anywhere = covers, 0, True

    def read(self, item_ids):
        self.reads += 1
        for item in sorted(item_ids.tolist(), reverse=True):
            yield item, self.covers.get(item)


def cover(item: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (300, 200), (item % 256, 80, 120)).save(file, "PNG")
    return file.getvalue()


def train(*clicked: int) -> Clicks:
    """One user whose empty history clicks these items; no other item is shown."""
    rows = len(clicked)
    return Clicks(
        history_user=np.array([1], np.int32),
        history_offsets=np.array([0, 0]),
        history_items=np.zeros(0, np.int32),
        history=np.zeros(rows, np.int32),
        item=np.array(clicked, np.int32),
        likes_level=np.ones(rows, np.int8),
        views_level=np.ones(rows, np.int8),
        row_id=np.arange(rows),
        label=np.ones(rows, np.int8),
    )


def world(items: int = 40, cold: int = 3) -> dict:
    """Items of two tags on two sides; train shows all but the last ``cold``, item 1 most often."""
    rng = np.random.default_rng(1)
    side = np.arange(1, items + 1) % 2
    vectors = np.eye(2, 16)[side] + 0.1 * rng.standard_normal((items, 16))
    clicks = train(1, 1, *range(1, items - cold + 1))
    content = pd.DataFrame(
        {
            "item_id": np.arange(1, items + 1, dtype=np.int32),
            "title": [f"title {item}" for item in range(1, items + 1)],
            "tag_words": [["odd" if odd else "even"] for odd in side],
        }
    )
    tags = np.zeros((items + 1, 5), np.int32)
    tags[1:, 4] = side + 1
    embedding = np.concatenate([np.zeros((1, 16)), vectors]).astype(np.float32)
    for array in (tags, embedding):
        array.setflags(write=False)
    return {
        "item_content": content,
        "covers": CoversInMemory({item: cover(item) for item in range(1, items + 1)}),
        "item_tags": tags,
        "clicks_train": clicks,
        "item_embedding": embedding,
    }


def gallery(given: dict) -> str:
    """The page, without its scripts and what stands after the neighbours."""
    page = embedding_page.write_embedding_report(
        **given, map=blank(height=10), scorecard=SCORECARD, cover_report=COVER_REPORT
    )
    return page.split("<script>")[0]


def drawn_map(given: dict):
    return embedding_page.draw_map(**{name: value for name, value in given.items() if name != "covers"})


def rows(page: str) -> list[list[str]]:
    """The titles of each row, the query's first."""
    return [
        re.findall(r'<div class="title" dir="auto">(.*?)</div>', row) for row in page.split('class="neighbours"')[1:]
    ]


def hover_texts(figure) -> list[str]:
    return [text for trace in figure.data for text in trace.hovertext or ()]


def test_the_page_shows_the_scorecard_the_map_and_what_became_of_covers():
    page = gallery(world(4))
    assert '<div class="plot" id="map" role="img" aria-label="Items in the plane' in page
    assert "recall@100 of the nearest to their last click is\n0.250; of items clicked by the same users,\n–" in page
    assert "1 of 3 items have a cover that could be encoded;\nof the others: 1 missing, 0 unreadable, 1 tiny." in page


def test_a_hostile_title_or_tag_is_shown_and_not_obeyed():
    given = world(4)
    given["item_content"] = given["item_content"].assign(title=HOSTILE, tag_words=[[HOSTILE]] * 4)
    page, figure = gallery(given), drawn_map(given)
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for text in [*hover_texts(figure), *(trace.name for trace in figure.data)]:  # plotly reads some HTML as well
        assert "<script" not in text
        assert "<img" not in text


def test_the_page_runs_and_loads_nothing():
    page = gallery(world())
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert set(re.findall(r'(?:src|href)="(.{16})', page)) == {"data:image/jpeg;"}


def test_a_cover_is_a_small_jpeg():
    encoded = re.findall(r'src="data:image/jpeg;base64,(.*?)"', gallery(world(4)))
    for image in (Image.open(io.BytesIO(base64.b64decode(data))) for data in encoded):
        assert (image.format, image.size) == ("JPEG", (96, 96))
    assert len(encoded) == 4 * 4


def test_a_cover_missing_or_damaged_leaves_a_box_that_says_so():
    given = world(4)
    given["covers"] = CoversInMemory({1: cover(1), 2: b"", 3: cover(3)[:60]})
    page = gallery(given)
    assert page.count("<img") == 4  # item 1: once asked, three times near
    assert page.count("cover cannot be read") == 2 * 4
    assert page.count("no cover") == 4


def test_covers_that_can_only_be_read_from_the_start_are_not_read():
    given = world(6)
    given["covers"].anywhere = False
    assert "cover in an archive" in gallery(given)
    assert given["covers"].reads == 0


def test_covers_are_asked_for_once():
    given = world()
    gallery(given)
    assert given["covers"].reads == 1


def test_drawing_twice_gives_the_same_bytes():
    assert gallery(world()) == gallery(world())
    assert drawn_map(world()).to_json() == drawn_map(world()).to_json()


def test_items_that_train_never_shows_are_marked():
    given = world(6, cold=2)
    cells = re.findall(r"<figure.*?</figure>", gallery(given), re.DOTALL)
    for cell in cells:
        title = re.search(r"title \d", cell)[0]
        assert (embedding_page.COLD in cell) == (title in {"title 5", "title 6"})
    marked = [trace for trace in drawn_map(given).data if trace.marker.symbol == "diamond"]
    assert sorted(re.search(r"title \d", text)[0] for trace in marked for text in trace.hovertext or ()) == [
        "title 5",
        "title 6",
    ]


def test_queries_are_clicked_most_never_shown_or_drawn_and_none_comes_twice():
    clicks = train(*[7] * 3, *[5] * 2, *range(1, 38))
    shown = np.isin(np.arange(41), clicks.item)
    popular, cold, drawn = embedding_page.choose_queries(clicks, shown).values()
    assert popular.tolist() == [7, 5, 1, 2]  # equals by id
    assert sorted(cold) == [38, 39, 40]
    assert len(np.unique([*popular, *cold, *drawn])) == 4 + 3 + 4


def test_nearest_are_those_of_a_slow_loop_and_items_alike_come_by_id():
    rng = np.random.default_rng(2)
    embedding = rng.integers(-1, 2, (60, 4)).astype(np.float32)  # with many alike, and some zeros
    embedding[0] = 0
    length = np.linalg.norm(embedding, axis=1)
    asked = np.array([3, 17, 59])
    found, cosine = embedding_page.nearest(embedding, asked)
    for query, items, values in zip(asked, found, cosine, strict=True):
        scores = {
            item: embedding[query] @ embedding[item] / max(length[query] * length[item], 1e-9)
            for item in range(1, 60)
            if item != query
        }
        expected = sorted(scores, key=lambda item: (-round(scores[item], 4), item))[: embedding_page.NEIGHBOURS]
        assert items.tolist() == expected
        np.testing.assert_allclose(values, [scores[item] for item in expected], atol=1e-5)


def test_neighbours_are_of_the_same_side_and_show_the_tag_they_share():
    page = gallery(world())
    for query, *near in rows(page):
        assert len(near) == embedding_page.NEIGHBOURS
        assert len({int(title.split()[1]) % 2 for title in (query, *near)}) == 1
    assert page.count('<div class="tags"><bdi>') == len(rows(page)) * (1 + embedding_page.NEIGHBOURS)


@pytest.mark.parametrize("items", [1, 2, 3, 5])
def test_fewer_items_than_neighbours_are_all_shown(items):
    given = world(items, cold=0)
    assert [len(row) for row in rows(gallery(given))] == [items] * items
    assert len(hover_texts(drawn_map(given))) == items


def test_items_without_any_tags_are_grey():
    given = world(12)
    given["item_content"] = given["item_content"].assign(tag_words=[[]] * 12)
    given["item_tags"] = np.zeros((13, 5), np.int32)
    assert len(rows(gallery(given))) == 4 + 3 + 4
    assert {trace.marker.color for trace in drawn_map(given).data if trace.name != embedding_page.COLD} == {
        embedding_page.OTHER
    }


def test_tags_without_words_go_by_their_ids():
    given = world(12)
    given["item_content"] = given["item_content"].assign(tag_words=[[]] * 12)
    assert "<bdi>tag 2</bdi>" in gallery(given)
    assert {"tag 1", "tag 2"} < {trace.name for trace in drawn_map(given).data}


def test_an_item_has_the_colour_of_its_most_frequent_tag():
    given = world(30, cold=0)
    words = [["rare", "common"]] * 10 + [["common"]] * 10 + [[f"only {n}"] for n in range(10)]
    given["item_content"] = given["item_content"].assign(tag_words=words)
    size = {trace.name: len(trace.hovertext or ()) for trace in drawn_map(given).data}
    assert size["common"] == 20
    assert "rare" not in size  # the items that have it have a more frequent one
    assert size["other tags or none"] == 4  # eight colours: common, rare, and six of the ten


def test_an_embedding_of_zeros_has_no_neighbours_and_lies_at_the_origin():
    given = world(12) | {"item_embedding": np.zeros((13, 16), np.float32)}
    assert gallery(given).count("nothing is near it") == 4 + 3 + 4
    places = {(x, y) for trace in drawn_map(given).data for x, y in zip(trace.x, trace.y, strict=True)}
    assert places == {(0, 0), (None, None)}


def test_many_items_alike_still_have_places():
    vectors = np.repeat(np.eye(3, 8, dtype=np.float32), 30, axis=0)
    assert np.isfinite(embedding_page.positions(vectors)).all()


def test_sides_lie_apart_on_the_map():
    given = world(60)
    place = embedding_page.positions(given["item_embedding"][1:])
    near = np.linalg.norm(place[:, None] - place[None], axis=2) + np.diag([np.inf] * 60)
    assert (near.argmin(axis=1) % 2 == np.arange(60) % 2).all()


def test_a_map_of_many_items_shows_a_part_and_says_so(monkeypatch):
    monkeypatch.setattr(embedding_page, "MAPPED", 25)
    figure = drawn_map(world(40))
    assert len(hover_texts(figure)) == 25
    assert figure.layout.title.text.startswith("25 of 40 items")


@pytest.mark.parametrize(
    ("title", "shown"),
    [("", "item 2"), ("  two\n lines ", "two lines"), ("ש" * 500, "ש" * 69 + "…"), ("👩‍🚀 мир", "👩‍🚀 мир")],
)
def test_titles_are_cut_and_of_any_script(title, shown):
    given = world(4)
    given["item_content"] = given["item_content"].assign(title=["one", title, "three", "four"])
    assert shown in rows(gallery(given))[0]


# Machado et al. (2009), severity 1, on linear RGB: what eyes without one kind of cone see.
EYES = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(colour: str, eyes: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of what they see of an sRGB colour."""
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.clip(np.asarray(eyes) @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.where((t := xyz / [0.9505, 1, 1.089]) > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", EYES)
def test_colours_are_apart_for_every_kind_of_eyes(eyes):
    """A difference of 2 is just seen; 15 is plain."""
    seen = [lab(colour, EYES[eyes]) for colour in (*embedding_page.COLOURS, embedding_page.OTHER)]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 15
