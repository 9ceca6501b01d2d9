"""The files an import writes: levels, tags, ids, covers, negatives, bytes; worked out by hand."""

import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import PATHS, SCHEMAS, RawFolder
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.importing import log_files
from mmctr_kedro.data.processing.raw_files import describe
from mmctr_kedro.data.settings import ProcessingParams, SourceParams
from mmctr_kedro.pipelines.data_processing.nodes import process_raw_files


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def picture(colour: tuple, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 60), colour).save(buffer, kind)
    return buffer.getvalue()


def test_every_file_has_the_published_columns_and_types(imported):
    out = imported()
    for name, schema in SCHEMAS.items():
        assert pq.read_schema(out.path / PATHS[name]).equals(schema), name


def test_the_same_import_twice_gives_the_same_bytes(imported):
    first = hashes(imported().path)
    assert hashes(imported().path) == first
    assert hashes(imported(seed=1).path)["MicroLens_1M_x1/train.parquet"] != first["MicroLens_1M_x1/train.parquet"]


def test_neither_parts_nor_memory_change_a_byte(imported, monkeypatch):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(1, 2_000, 30_000), rng.integers(1, 99, 30_000), rng.integers(0, 99, 30_000)])
    log = "user,item,timestamp\n" + "\n".join(",".join(row) for row in rows.astype(str).tolist())
    items = "item,title,tags\n" + "".join(f"{n},,\n" for n in range(1, 99))
    whole = hashes(imported(log, items).path)
    monkeypatch.setattr(log_files, "PART", 1_000)
    parted = hashes(imported(log, items, memory_gib=0.03).path)
    assert parted.pop("import_log.json") != whole.pop("import_log.json")
    assert parted == whole


def test_too_little_memory_is_a_message_with_its_setting_and_leaves_nothing_behind(imported, tmp_path):
    with pytest.raises(
        MmctrError, match=r"interactions\.csv cannot be sorted in params:import_log\.memory_gib=1e-06 GiB"
    ):
        imported(memory_gib=1e-6)
    assert not list((tmp_path / "out").iterdir())


def test_ids_run_from_1_in_the_order_of_the_source_ids_and_the_mapping_is_kept(imported):
    out = imported()
    assert out.source("user") == {1: 5, 2: 9}
    assert out.source("item") == {place: 10 * place for place in range(1, 13)}
    assert [row["item_id"] for row in out.file("item_feature")] == list(range(1, 13))
    assert [row["item_id"] for row in out.file("item_info")] == list(range(13))
    assert [row["ID"] for row in out.file("test")] == [0, 1, 2, 3]


def test_ids_may_be_words(imported):
    log = "user,item,timestamp\n" + "".join(f"ann,film-{n},{n}\n" for n in range(1, 8))
    out = imported(log, "item,title,tags\n" + "".join(f"film-{n},,\n" for n in range(1, 10)))
    assert out.source("user") == {1: "ann"}
    assert out.clicks("valid") == [("ann", [f"film-{n}" for n in range(1, 6)], "film-6")]


def test_levels_count_training_time_alone(imported):
    """Clicks before valid: none on 90..120; one on 10..50, 70, 80; two on 60.

    So 4 of 12 items are below one click: level 1 + 10 * 4 // 12 = 4; and 11 below two: 1 + 110 // 12 = 10.
    The clicks on 70 by user 5 (valid) and on 80 by user 5 (test) count for nothing.
    """
    levels = [row["likes_level"] for row in imported().file("item_feature")]
    assert levels == [4, 4, 4, 4, 4, 10, 4, 4, 1, 1, 1, 1]


def test_views_level_counts_interactions_below_the_threshold_too(imported):
    log = "user,item,timestamp,rating\n" + "".join(f"5,{10 * n},{n},{1 if n == 2 else 5}\n" for n in range(1, 8))
    out = imported(log, log={"rating": "rating"}, positive_rating=3)
    rows = out.file("item_feature")
    assert [row["views_level"] for row in rows] == [6] * 5 + [1] * 7  # 60 is valid, 70 is test: 7 of 12 below
    assert [row["likes_level"] for row in rows] == [7, 1, 7, 7, 7] + [1] * 7  # 8 of 12 below


def test_every_row_carries_its_items_levels(imported):
    out = imported()
    levels = {row["item_id"]: (row["likes_level"], row["views_level"]) for row in out.file("item_feature")}
    for split in ("train", "valid", "test"):
        for row in out.file(split):
            assert (row["likes_level"], row["views_level"]) == levels[row["item_id"]]


def test_tags_of_training_time_alone_have_ids_the_most_frequent_first(imported):
    tags = {10: "x|y", 20: "y|x|y", 30: "y", 40: "none", 80: "a", 120: "late|x"}
    items = "item,title,tags\n" + "".join(f"{10 * n},,{tags.get(10 * n, '')}\n" for n in range(1, 13))
    out = imported(items=items, item_table={"no_tags": ["none"]})
    assert [(row["tag_id"], row["word"]) for row in out.file("tag_words")] == [(1, "y"), (2, "x"), (3, "a")]
    found = {row["item_id"]: row["item_tags"] for row in out.file("item_feature")}
    assert found[1] == [2, 1]
    assert found[2] == [1, 2]
    assert found[4] == []
    assert found[12] == [2]  # never seen in training time: its own word has no id
    padded = {row["item_id"]: row["item_tags"] for row in out.file("item_info")}
    assert padded[2] == [0, 0, 0, 1, 2]
    assert padded[0] == [0] * 5


def test_item_info_starts_with_a_row_of_zeros_and_keeps_five_tags(imported):
    out = imported(items="item,title,tags\n" + "".join(f"{10 * n},,a|b|c|d|e|f|g\n" for n in range(1, 13)))
    rows = out.file("item_info")
    assert rows[0]["item_emb_d128"] == [0.0] * 128
    assert rows[1]["item_tags"] == [1, 2, 3, 4, 5]
    assert len(out.file("item_feature")[0]["item_tags"]) == 7


@pytest.mark.parametrize("law", ["uniform", "popularity"])
def test_a_negative_is_never_an_item_the_user_clicked(imported, law):
    out = imported(train_negatives=law, eval_negatives=law, train_negatives_per_click=3)
    clicked = {5: set(range(10, 90, 10)), 9: {80, 70, 60, 50, 40}}
    for split in ("train", "valid"):
        for user, _, item, label in out.rows(split):
            assert (item in clicked[user]) == (label == 1)


def test_vectors_know_nothing_of_clicks(imported):
    first = imported().file("item_emb")
    assert (
        imported("user,item,timestamp\n" + "".join(f"1,{10 * n},{n}\n" for n in range(12, 4, -1))).file("item_emb")
        == first
    )


def test_covers_are_copied_byte_for_byte_under_our_ids_from_a_folder_or_an_archive(imported, tmp_path):
    covers = {
        "10.jpg": picture((255, 0, 0)),
        "30.png": picture((0, 9, 0), "PNG"),
        "77.jpg": picture((1, 1, 1)),
        "20.jpg": b"?",
    }
    with zipfile.ZipFile(tmp_path / "covers.zip", "w") as archive:
        for name, data in covers.items():
            archive.writestr(f"covers/{name}", data)
    (tmp_path / "log" / "item_images").mkdir(parents=True)
    for name, data in covers.items():
        (tmp_path / "log" / "item_images" / name).write_bytes(data)
    out = imported()
    written = Covers.find(out.path)
    assert dict(written.read(written.item_ids)) == {1: covers["10.jpg"], 2: b"?", 3: covers["30.png"]}
    assert sorted(p.name for p in (out.path / "item_images").iterdir()) == ["1.jpg", "2.jpg", "3.png"]
    found = json.loads((out.path / "import_log.json").read_text())["found"]
    counts = [
        found[f"{name}"] for name in ("covers", "covers_unreadable", "covers_of_unknown_items", "items_without_cover")
    ]
    assert counts == [3, 1, 1, 9]
    before = hashes(out.path)
    again = hashes(imported(covers="../covers.zip").path)
    assert {n: h for n, h in again.items() if n != "import_log.json"} == {
        n: h for n, h in before.items() if n != "import_log.json"
    }


def test_provided_vectors_hang_on_what_a_cover_shows_not_on_how_it_is_kept(imported, tmp_path):
    """16-bit grey; transparency over hidden colours; a camera's turn: as plain RGB of the same picture."""
    (images := tmp_path / "log" / "item_images").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    vectors = []
    for plain in (True, False):
        for n in range(1, 13):
            grey = np.add.outer(np.arange(64), np.arange(64)) * n // 8 + 9
            rgb = np.repeat(np.minimum(grey, 255)[..., None], 3, axis=2).astype(np.uint8)
            rgb[:20] = 255 if n % 3 == 1 else rgb[:20]
            image, how = Image.fromarray(rgb), {}
            if not plain:
                hidden = np.dstack([np.where(rgb == 255, 0, rgb), np.where(rgb[..., 0] == 255, 0, 255)])
                image, how = (
                    (Image.fromarray(rgb[..., 0].astype(np.uint16) * 257), {}),
                    (Image.fromarray(hidden.astype(np.uint8)), {}),
                    (image.transpose(Image.Transpose.ROTATE_90), {"exif": exif}),
                )[n % 3]
            image.save(images / f"{10 * n}.png", **how)
        vectors.append([row["item_emb_d128"] for row in imported().file("item_info")])
    np.testing.assert_array_equal(*vectors)


def test_an_import_stops_where_nearly_no_cover_can_be_read_unless_told_to_go_on(imported, tmp_path):
    (images := tmp_path / "log" / "item_images").mkdir(parents=True)
    for n in range(1, 13):
        Image.fromarray(np.full((9, 9), n / 12, np.float32)).save(images / f"{10 * n}.jpg", "TIFF")
    says = r"item_images: 12 of 12 covers cannot be used \(12 unreadable\), e\.g\. of item 10: .* save it as RGB.*"
    with pytest.raises(MmctrError, match=says + r"--params import_log\.most_unusable_covers=1"):
        imported()
    found = json.loads((imported(most_unusable_covers=1).path / "import_log.json").read_text())["found"]
    assert found["covers_unreadable"] == 12


def test_covers_are_found_for_numbers_among_words(imported, tmp_path):
    (tmp_path / "log" / "item_images").mkdir(parents=True)
    (tmp_path / "log" / "item_images" / "10.jpg").write_bytes(picture((9, 9, 9)))
    log = "user,item,timestamp\n" + "".join(f"5,{item},{n}\n" for n, item in enumerate([*range(20, 90, 10), 10, "x"]))
    items = "item,title,tags\n" + "".join(f"{n},,\n" for n in (*range(10, 90, 10), "y"))
    out = imported(log, items, ids="words")
    ours = {source: item for item, source in out.source("item").items()}
    assert Covers.find(out.path).item_ids.tolist() == [ours["10"]]


def test_a_signed_id_is_a_word(imported):
    log = "user,item,timestamp\n" + "".join(f"+5,{10 * n},{n}\n" for n in range(1, 8))
    assert imported(log).source("user") == {1: "+5"}


def test_a_log_without_tags_passes_validation(imported):
    items = "item,title\n" + "".join(f"{10 * n},Title {n}\n" for n in range(1, 13))
    out = imported(items=items, item_table={"tags": None})
    folder = RawFolder(out.path)
    raw_files = describe(SourceParams(name="interaction_log"), folder)
    content, tags, *_ = process_raw_files(ProcessingParams(), raw_files, folder)
    assert content["title"].iloc[0] == "Title 1"
    assert not tags.any()


def test_covers_of_an_earlier_import_are_removed(imported, tmp_path):
    images = tmp_path / "log" / "item_images"
    images.mkdir(parents=True)
    for name in ("10.jpg", "20.jpg"):
        (images / name).write_bytes(picture((9, 9, 9)))
    assert Covers.find(imported().path).item_ids.tolist() == [1, 2]
    (images / "20.jpg").unlink()
    assert Covers.find(imported().path).item_ids.tolist() == [1]


def test_items_of_only_one_table_are_kept_and_counted(imported):
    items = "item,title,tags\n" + "".join(f"{10 * n},Title {n},\n" for n in range(2, 14))
    out = imported(items=items)
    rows = out.file("item_feature")
    assert (rows[0]["item_title"], rows[1]["item_title"], len(rows)) == ("", "Title 2", 13)
    found = json.loads((out.path / "import_log.json").read_text())["found"]
    assert found["items_not_in_item_table"] == 1
    assert found["items_not_in_log"] == 5


def test_titles_may_hold_separators_quotes_and_line_breaks(imported):
    items = 'item,title,tags\n10,"A ""B"", C\nD",x\n' + "".join(f"{10 * n},,\n" for n in range(2, 13))
    assert imported(items=items).file("item_feature")[0]["item_title"] == 'A "B", C\nD'


def test_files_without_a_header_take_their_names_from_the_settings(imported, tmp_path):
    log = "".join(f"7;{10 * n};5;{n}\n" for n in range(1, 8))
    out = imported(log, log={"columns": ["user", "item", "stars", "timestamp"], "separator": ";"})
    assert out.clicks("valid") == [(7, [10, 20, 30, 40, 50], 60)]


@pytest.mark.parametrize("title", ["", "Same", "Title {n}"])
def test_every_vector_is_finite_however_little_there_is_to_say(imported, title):
    items = "item,title,tags\n" + "".join(f"{10 * n},{title.format(n=n)},\n" for n in range(1, 13))
    out = imported(items=items)
    for row in [*out.file("item_info"), *out.file("item_emb"), *out.file("item_feature")]:
        assert all(np.isfinite(v).all() for name, v in row.items() if "emb" in name)
