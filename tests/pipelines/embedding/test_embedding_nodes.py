"""The nodes of the embedding pipeline on three to six items."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from mmctr_kedro import encoders
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data import challenge
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.images import Refused
from mmctr_kedro.encoders import item_vectors
from mmctr_kedro.encoders.settings import ImageEncoderParams
from mmctr_kedro.encoders.store import VectorStore
from mmctr_kedro.fusion.settings import EmbeddingParams
from mmctr_kedro.pipelines.embedding import nodes


class CoversInMemory:
    """The covers store, from a dict; items come back in descending order, as an archive's might."""

    def __init__(self, covers: dict[int, bytes]) -> None:
        self.covers, self.anywhere, self.path, self.ignored = covers, True, Path("item_images"), 0
        self.item_ids = np.array(sorted(covers), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.covers)

    def read(self, item_ids: np.ndarray) -> Iterator[tuple[int, bytes | None]]:
        for item in sorted(item_ids.tolist(), reverse=True):
            yield item, self.covers.get(item)


class MeanColour:
    """An image encoder whose vectors can be worked out by hand: the mean red, green and blue."""

    width, side, reads_text = 3, 16, False

    def __init__(self, params: ImageEncoderParams) -> None:
        self.params = params

    @classmethod
    def identity(cls, params: ImageEncoderParams) -> dict:
        return {}

    def encode(self, pixels: np.ndarray, texts=None) -> np.ndarray:
        assert len(pixels) <= self.params.batch_size
        return pixels.mean((1, 2)).astype(np.float32)


class LengthAndCommas:
    """A text encoder to be worked out by hand."""

    width = 2

    def __init__(self, _) -> None: ...

    @classmethod
    def identity(cls, _) -> dict:
        return {}

    def encode(self, texts) -> np.ndarray:
        return np.array([[len(text), text.count(",")] for text in texts], dtype=np.float32)


NO_FILES = challenge.RawFolder(Path("nowhere"))


@pytest.fixture(autouse=True)
def _encoders_by_hand(monkeypatch):
    monkeypatch.setitem(encoders.IMAGE_ENCODERS, "efficientnet_lite0", MeanColour)
    monkeypatch.setitem(encoders.TEXT_ENCODERS, "minilm", LengthAndCommas)


@pytest.fixture
def store(tmp_path) -> VectorStore:
    return VectorStore(tmp_path / "encoded")


def items(*titles: str | None, tag_words=None) -> pd.DataFrame:
    words = tag_words or [[]] * len(titles)
    ids = np.arange(1, len(titles) + 1, dtype=np.int32)
    return pd.DataFrame({"item_id": ids, "title": titles, "tag_words": [np.array(w, dtype=object) for w in words]})


def png(red: int, green: int, blue: int, side: int = 20) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (red, green, blue)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_text_is_the_title_and_the_tag_words():
    content = items("Heat", " Up ", "", None, tag_words=[["Action", "Crime"], [], ["Drama"], []])
    assert item_vectors.item_texts(content) == ["Heat. tags: Action, Crime", "Up", "tags: Drama", ""]


def test_titles_are_encoded_in_item_order_and_row_zero_is_zero(store):
    vectors, report = nodes.encode_titles(EmbeddingParams(), items("a, b, c", "ab", "a, b, c"), NO_FILES, store)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[0, 0], [7, 2], [2, 0], [7, 2]])
    assert report == {"items": 3, "encoded": 3, "without_words": {"count": 0, "item_ids": []}}


def test_an_item_without_words_has_the_mean_of_the_others_and_is_reported(caplog, store):
    vectors, report = nodes.encode_titles(EmbeddingParams(), items("abcd", "", "ab", "  "), NO_FILES, store)
    np.testing.assert_array_equal(vectors[1:], [[4, 0], [3, 0], [2, 0], [3, 0]])
    assert report == {"items": 4, "encoded": 2, "without_words": {"count": 2, "item_ids": [2, 4]}}
    assert "2 of 4 items lack a usable title" in caplog.text


def test_no_words_at_all_give_zeros_not_nan(store):
    vectors, report = nodes.encode_titles(EmbeddingParams(), items("", ""), NO_FILES, store)
    assert not vectors.any()
    assert report["encoded"] == 0


def test_covers_land_on_their_items_whatever_order_they_come_in(store):
    covers = CoversInMemory({1: png(10, 0, 0), 2: png(0, 20, 0), 3: png(0, 0, 30)})
    params = EmbeddingParams(image=ImageEncoderParams(batch_size=2))
    vectors, report = nodes.encode_covers(params, items("a", "b", "c"), covers, NO_FILES, store)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[0, 0, 0], [10, 0, 0], [0, 20, 0], [0, 0, 30]])
    assert report["encoded"] == 3


def test_unusable_covers_have_the_mean_of_the_others_and_are_reported_by_reason(caplog, store):
    covers = CoversInMemory({1: png(10, 0, 0), 2: b"junk", 3: png(9, 9, 9, side=5), 5: png(0, 20, 0)})
    vectors, report = nodes.encode_covers(EmbeddingParams(), items(*"abcde"), covers, NO_FILES, store)
    mean = [5, 10, 0]
    np.testing.assert_array_equal(vectors, [[0, 0, 0], [10, 0, 0], mean, mean, mean, [0, 20, 0]])
    assert report["items"] == 5
    assert report["encoded"] == 2
    assert report["missing"] == {"count": 1, "item_ids": [4]}
    assert report["tiny"] == {"count": 1, "item_ids": [3], "reasons": {"3": "5 x 5 pixels"}}
    assert report["unreadable"]["item_ids"] == [2]
    assert "not an image" in report["unreadable"]["reasons"]["2"]
    assert "3 of 5 items lack a usable cover" in caplog.text


def test_no_covers_at_all_give_zeros_not_nan(store):
    vectors, report = nodes.encode_covers(EmbeddingParams(), items("a", "b"), CoversInMemory({}), NO_FILES, store)
    assert not vectors.any()
    assert report["missing"] == {"count": 2, "item_ids": [1, 2]}


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("covers", "why"),
    [
        (
            {1: png(10, 0, 0), **dict.fromkeys(range(2, 12), LFS)},
            r"10 unreadable\).*item 2: .* b'version https://git-lfs",
        ),
        ({1: png(10, 0, 0)}, r"10 missing\), e\.g\. of item 2: no file"),
        (dict.fromkeys(range(1, 12), b""), r"11 unreadable\).*item 1: no bytes that can be read: .*a link to nowhere"),
    ],
    ids=["pointers of git-lfs", "covers of other items", "links to nowhere"],
)
def test_a_run_stops_where_nearly_no_cover_can_be_used_unless_told_to_go_on(covers, why, store):
    content, covers = items(*"abcdefghijk"), CoversInMemory(covers)
    with pytest.raises(MmctrError, match=rf"item_images.*of 11 covers cannot be used.*{why}"):
        nodes.encode_covers(EmbeddingParams(), content, covers, NO_FILES, store)
    params = EmbeddingParams(image={"most_unusable_covers": 1})
    assert nodes.encode_covers(params, content, covers, NO_FILES, store)[1]["encoded"] <= 1


def test_files_none_of_which_is_named_like_a_cover_stop_a_run(tmp_path, store):
    (tmp_path / "item_images").mkdir()
    (tmp_path / "item_images" / "item_1.jpg").write_bytes(png(10, 0, 0))
    with pytest.raises(MmctrError, match=r"0 covers, 1 files not named \{item_id\}\.jpg"):
        nodes.encode_covers(EmbeddingParams(), items("a", "b"), Covers.find(tmp_path), NO_FILES, store)


def test_vectors_of_item_feature_are_taken_in_item_order_and_zeros_become_the_mean(
    challenge_tables, write_challenge, store
):
    table = challenge_tables["item_feature"]
    backwards = table.take([2, 1, 0]).set_column(
        table.column_names.index("txt_emb_BERT"), "txt_emb_BERT", pa.array([[3.0] * 768, [0.0] * 768, [1.0] * 768])
    )  # as lists of float64, which is published too
    folder = write_challenge({"item_feature": backwards})
    params = EmbeddingParams(text={"name": "item_feature"}, image={"name": "item_feature"})
    content = items("a", "b", "c")
    text, title_report = nodes.encode_titles(params, content, folder, store)
    image, cover_report = nodes.encode_covers(params, content, CoversInMemory({}), folder, store)
    np.testing.assert_array_equal(text[:, 0], [0, 1, 2, 3])
    np.testing.assert_array_equal(image[:, -1], [0, 1, 2, 3])
    assert (text.shape, image.shape, text.dtype, image.dtype) == ((4, 768), (4, 1024), np.float32, np.float32)
    assert title_report["without_words"] == {"count": 1, "item_ids": [2]}
    assert cover_report["encoded"] == 3


def test_vectors_that_item_feature_lacks_are_an_error_with_the_way_out(challenge_tables, write_challenge, store):
    table = challenge_tables["item_feature"].drop_columns(["img_emb_CLIPRN50"])
    folder = write_challenge({"item_feature": table})
    with pytest.raises(MmctrError, match=r"no column 'img_emb_CLIPRN50'.*leave embedding\.image\.name out"):
        nodes.encode_covers(
            EmbeddingParams(image={"name": "item_feature"}), items("a"), CoversInMemory({}), folder, store
        )


def test_the_report_lists_ids_in_ascending_order():
    report = item_vectors.cover_report(9, {7: Refused("missing", "no file"), 2: Refused("missing", "no file")})
    assert report["missing"]["item_ids"] == [2, 7]
    assert report["encoded"] == 7


def vectors_of(count: int, width: int) -> np.ndarray:
    vectors = np.random.default_rng(width).standard_normal((count + 1, width)).astype(np.float32)
    vectors[0] = 0
    vectors.flags.writeable = False
    return vectors


def test_the_embedding_has_zeros_in_row_zero_and_in_no_other():
    embedding, _, _ = nodes.fuse(
        EmbeddingParams(), vectors_of(6, 4), vectors_of(6, 9), vectors_of(6, 128), None, NO_FILES
    )
    assert embedding.shape == (7, 128)
    assert embedding.dtype == np.float32
    assert not embedding[0].any()
    assert embedding[1:].any(axis=1).all()
    assert np.isfinite(embedding).all()


def test_row_zero_takes_no_part_in_the_means():
    """Zeros of the padding row would pull the standardisation."""
    text, image = vectors_of(6, 4) + 100, vectors_of(6, 9)
    text[0] = 0
    embedding, _, _ = nodes.fuse(EmbeddingParams(width=5), text, image, vectors_of(6, 128), None, NO_FILES)
    np.testing.assert_allclose(embedding[1:].mean(axis=0), 0, atol=1e-4)


def test_the_item_info_table_is_the_organisers():
    embedding, tags = (
        vectors_of(3, 128),
        np.array([[0] * 5, [0, 0, 0, 7, 8], [0] * 5, [1, 2, 3, 4, 5]], np.int32),
    )
    table = nodes.format_item_info(embedding, tags)
    assert table.schema.equals(challenge.SCHEMAS["item_info"])
    assert table["item_id"].to_pylist() == [0, 1, 2, 3]
    assert table["item_tags"].to_pylist() == tags.tolist()
    assert table["item_emb_d128"].to_pylist() == embedding.astype(np.float64).tolist()


def test_an_embedding_of_another_width_names_its_column_for_it(caplog):
    table = nodes.format_item_info(vectors_of(2, 64), np.zeros((3, 5), np.int32))
    assert table.column_names == ["item_id", "item_tags", "item_emb_d64"]
    assert table.schema.field("item_emb_d64").type == pa.list_(pa.float64(), 64)
    assert "takes 128" in caplog.text
