"""What the viewer is told of each dataset: plain, short, read without the rest, and nothing where nothing is."""

import base64
import io
import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from safetensors.numpy import save_file

from mmctr_kedro.data.challenge import Submission
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.datasets.arrays import ClicksDataset
from mmctr_kedro.datasets.sealed import (
    ArrowTableDataset,
    JSONDataset,
    ParquetDataset,
    PartsDataset,
    RecordsDataset,
    TextDataset,
)
from mmctr_kedro.datasets.stores import CoversDataset, StoreDataset
from mmctr_kedro.datasets.trained import CtrModelDataset, SentenceTransformerDataset
from mmctr_kedro.datasets.zips import BundleDataset, SubmissionZipDataset
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.submission.bundle import Bundle

ITEMS = pa.table(
    {
        "item_id": pa.array([1, 2], pa.int32()),
        "title": ["x" * 1000, None],
        "tags": pa.array([[7, 3], []], pa.list_(pa.int32())),
        "vector": pa.array([[0.5] * 128, [1 / 3] * 128], pa.list_(pa.float32(), 128)),
    }
)


def shown(dataset) -> dict:
    """A preview as the static site holds it."""
    return json.loads(json.dumps(dataset.preview()))


@pytest.mark.parametrize("kind", [ArrowTableDataset, ParquetDataset])
def test_a_table_with_lists_is_shown_under_names_and_types(tmp_path, kind):
    dataset = kind(filepath=str(tmp_path / "items"))
    ArrowTableDataset(filepath=str(tmp_path / "items")).save(ITEMS)
    preview = shown(dataset)
    assert preview["columns"] == ["row of 2", "item_id int32", "title string", "tags int32[]", "vector float[128]"]
    first, second = preview["data"]
    assert len(first[2]) < 700
    assert [value.replace("\N{NO-BREAK SPACE}", " ") for value in first[3:]] == [
        "7, 3",
        "0.5, 0.5, 0.5, 0.5, 0.5, 0.5, ... 128 in all",
    ]
    assert second[1:4] == [2, "", ""]


def test_of_a_large_table_a_few_rows_are_read(tmp_path):
    dataset = PartsDataset(filepath=str(tmp_path / "rows"))
    dataset.save([pa.table({"a": np.arange(100_000)})])
    preview = shown(dataset)
    assert preview["columns"] == ["row of 100,000", "a int64"]
    assert preview["data"] == [[row, row] for row in range(8)]


def test_a_table_without_rows_has_its_names(tmp_path):
    dataset = ParquetDataset(filepath=str(tmp_path / "none"))
    dataset.save(pd.DataFrame({"a": pd.Series(dtype="int64")}))
    assert shown(dataset) == {"index": [], "columns": ["row of 0", "a int64"], "data": []}


@pytest.mark.parametrize("labelled", [True, False])
def test_clicks_are_rows_with_their_users_and_histories(tmp_path, labelled):
    dataset = ClicksDataset(filepath=str(tmp_path / "clicks"))
    label = np.array([1, 0, 1], np.int8) if labelled else None
    clicks = Clicks(
        history_user=np.array([5, 6], np.int32), history_offsets=np.array([0, 0, 2]),
        history_items=np.array([3, 1], np.int32), history=np.array([1, 1, 0], np.int32),
        item=np.array([2, 3, 1], np.int32), likes_level=np.array([9, 8, 7], np.int8), views_level=np.zeros(3, np.int8),
        row_id=np.arange(3), label=label,
    )  # fmt: skip
    dataset.save(clicks)
    preview = shown(dataset)
    names = [
        "row of 3",
        "user int32",
        "history int32[], oldest first",
        "item int32",
        "likes_level int8",
        "views_level int8",
    ]
    assert preview["columns"] == names + ["label int8"] * labelled
    assert preview["data"][0][:5] == [0, 6, "3,\N{NO-BREAK SPACE}1", 2, 9]
    assert preview["data"][2][:4] == [2, 5, "", 1]
    assert len(preview["data"][2]) == len(preview["columns"])


def test_json_says_what_is_short_before_what_is_nested(tmp_path):
    dataset = JSONDataset(filepath=str(tmp_path / "metrics.json"))
    dataset.save({"roc": [[0.123456789]], "auc": 0.98410624, "rows": 123456})
    found = json.loads(dataset.preview())
    assert list(found) == ["auc", "rows", "roc"]
    assert found == {"auc": 0.9841, "rows": 123456, "roc": [[0.1235]]}


def test_records_are_a_table_and_lists_of_them_one_too(tmp_path):
    dataset = RecordsDataset(filepath=str(tmp_path / "records.json"))
    dataset.save([{"rule": "a", "held": True}, {"rule": "b", "remedy": "c"}])
    assert shown(dataset)["columns"] == ["rule", "held", "remedy"]
    assert shown(dataset)["data"] == [["a", "yes", ""], ["b", "", "c"]]
    dataset.save({"missed": [{"row": 1}], "hoped": [{"row": 2}]})
    assert shown(dataset)["data"] == [["missed", 1], ["hoped", 2]]


def test_a_page_is_its_words_section_by_section(tmp_path):
    dataset = TextDataset(filepath=str(tmp_path / "report.html"))
    dataset.save(
        "<html><head><title>Task 2: AUC 0.98</title><style>p {color: red}</style></head><body><h1>Task 2: AUC 0.98</h1>"
        "<p>Half is\nnoise &amp; leak.</p><div class=facts><div><b>0.98</b><span>valid AUC</span></div></div>"
        "<h2>Training</h2>"
        "<div id=plot></div><script>draw('<p>no</p>')</script>"
        "<table><tr><th>epoch</th><th>loss</th></tr><tr><td>1</td><td>2.5</td></tr></table></body></html>"
    )
    assert shown(dataset)["columns"] == ["", "Task 2: AUC 0.98"]
    assert shown(dataset)["data"] == [
        ["", "Half is noise & leak."],
        ["", "0.98 valid AUC"],
        ["Training", "epoch · loss"],
        ["", "1 · 2.5"],
    ]


def test_a_submission_says_first_why_it_may_not_be_sent_in(tmp_path):
    dataset = SubmissionZipDataset(filepath=str(tmp_path / "submission.zip"))
    table = pd.DataFrame({"ID": np.arange(20), "Task1": np.float32([0.5] * 20), "Task2": np.float32([0.25] * 20)})
    dataset.save(Submission(table, ("a short training",)))
    assert shown(dataset)["columns"] == ["row of 20", "ID", "Task1", "Task2"]
    assert shown(dataset)["data"][:2] == [["not submittable", "a short training", "", ""], [0, 0, "0.5", "0.25"]]
    dataset.save(Submission(table))
    assert shown(dataset)["data"][0] == [0, 0, "0.5", "0.25"]


def test_a_bundle_is_its_members_and_its_manifest(tmp_path):
    dataset = BundleDataset(filepath=str(tmp_path / "bundle.zip"))
    dataset.save(Bundle({"format": 3, "commit": "abc"}, {"weights": b"12345"}))
    found = json.loads(dataset.preview())
    assert found["bytes"]["weights"] == 5
    assert found["commit"] == "abc"


def test_a_model_is_its_settings_and_the_shapes_of_its_weights(tmp_path):
    dataset = CtrModelDataset(filepath=str(tmp_path / "model"))
    dataset.save(TrainedModel(settings={"model": {"name": "din"}}, weights={"table": np.zeros((3, 4), np.float32)}))
    assert json.loads(dataset.preview()) == {
        "weights in all": 12,
        "settings": {"model": {"name": "din"}},
        "weights": {"table": "[3, 4] F32"},
    }


def test_a_tuned_encoder_is_its_weights_and_small_settings(tmp_path):
    folder = tmp_path / "encoder"
    folder.mkdir()
    save_file({"words": np.zeros((5, 2), np.float16)}, folder / "model.safetensors")
    (folder / "config.json").write_text('{"layers": 6}')
    (folder / "tokenizer.json").write_text(json.dumps(["word"] * 10_000))
    found = json.loads(SentenceTransformerDataset(filepath=str(folder)).preview())
    assert found["model.safetensors"]["weights"] == {"words": "[5, 2] F16"}
    assert found["config.json"] == {"layers": 6}
    assert "tokenizer.json" not in found


def test_a_raw_folder_is_its_files_and_a_full_folder_their_number(challenge_folder):
    covers = challenge_folder.path / "item_images"
    covers.mkdir()
    for item in range(30):
        (covers / f"{item}.jpg").write_bytes(b"")
    store = "mmctr_kedro.data.challenge.RawFolder"
    preview = shown(StoreDataset(filepath=str(challenge_folder.path), store=store))
    rows = {row[0]: row for row in preview["data"]}
    assert rows["MicroLens_1M_x1/train.parquet"][2:] == [
        "4",
        "user_id, item_seq, item_id, likes_level, views_level, label",
    ]
    assert rows["item_images/"][1] == "30 files"
    assert len(rows) == 9
    alone = shown(StoreDataset(filepath=str(challenge_folder.file("test")), store=store))
    assert [row[0] for row in alone["data"]] == ["test.parquet"]


@pytest.mark.parametrize("archive", [False, True])
def test_covers_are_one_picture(tmp_path, archive):
    folder = tmp_path / "item_images"
    folder.mkdir()
    Image.new("RGB", (50, 80), "red").save(folder / "1.jpg")
    (folder / "2.jpg").write_bytes(b"damaged")
    if archive:
        shutil.make_archive(str(folder), "zip", folder)
        shutil.rmtree(folder)
    data = base64.b64decode(CoversDataset(filepath=str(tmp_path)).preview())
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (4 * 112, 6 * 112, 3)
    assert pixels[50, 50, 0] > 200 > 100 > pixels[50, 50, 1]
    assert pixels[50, 160].tolist() == pixels[400, 600].tolist()  # damaged, and no cover at all: grey


def test_an_archive_that_is_read_from_its_start_is_not_read_for_a_picture(tmp_path):
    (tmp_path / "item_images.tar.gz").write_bytes(b"not even an archive")
    assert CoversDataset(filepath=str(tmp_path)).preview() is None
