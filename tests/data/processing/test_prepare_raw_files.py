"""Where raw files come from, and what is said about those that are there."""

import hashlib
import json
import tarfile
from importlib import import_module

import pandas as pd
import pytest

from mmctr_kedro.common.errors import InvalidDataError
from mmctr_kedro.data.challenge import PATHS, RawFolder, unknown_truth
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.data.settings import InteractionLogParams, SourceParams
from mmctr_kedro.pipelines.data_processing.nodes import prepare_raw_files
from mmctr_kedro.worlds.settings import WorldParams


def prepare(source: str, folder: RawFolder, log_folder: RawFolder | None = None):
    world = WorldParams(items=40, train_rows=40, valid_rows=8, test_rows=8, covers=False)
    log_folder = log_folder or RawFolder(folder.path / "no log")
    return prepare_raw_files(SourceParams(name=source), world, InteractionLogParams(), folder, log_folder)


def test_files_of_the_user_are_described_and_left_alone(challenge_folder):
    content = {name: challenge_folder.file(name).read_bytes() for name in PATHS}
    raw_files, truth = prepare("challenge_files", challenge_folder)
    assert raw_files["source"] == "challenge_files"
    assert raw_files["world_version"] is None
    assert raw_files["covers"] is None
    assert raw_files["files"]["train"] == {
        "path": "MicroLens_1M_x1/train.parquet",
        "bytes": len(content["train"]),
        "rows": 4,
        "sha256": hashlib.sha256(content["train"]).hexdigest(),
    }
    assert {name: entry["rows"] for name, entry in raw_files["files"].items()} == {
        "train": 4,
        "valid": 2,
        "test": 2,
        "item_info": 4,
        "item_feature": 3,
        "item_emb": 3,
        "item_seq": 3,
        "tag_words": 2,
    }
    assert {name: challenge_folder.file(name).read_bytes() for name in PATHS} == content
    assert json.loads(json.dumps(raw_files)) == raw_files
    assert truth.empty


def test_truth_nobody_knows_has_columns_and_types_all_the_same(challenge_folder):
    _, truth = prepare("challenge_files", challenge_folder)
    posteriors = ("posterior", "posterior_without_taste", "posterior_without_levels")
    expected = {"split": "str", "row_id": "int64", **dict.fromkeys(posteriors, "float64")}
    assert truth.dtypes.astype(str).to_dict() == expected


def test_every_missing_file_is_named_with_its_place_and_the_next_command(challenge_folder):
    for name in ("valid", "item_info"):
        challenge_folder.file(name).unlink()
    with pytest.raises(InvalidDataError) as error:
        prepare("challenge_files", challenge_folder)
    assert error.value.problems == [
        "MicroLens_1M_x1/valid.parquet is missing",
        "MicroLens_1M_x1/item_info.parquet is missing",
    ]
    assert str(challenge_folder.path) in str(error.value)
    assert "kedro run --pipeline data_processing" in str(error.value)


def test_optional_files_may_be_missing(challenge_folder):
    for name in ("item_feature", "item_emb", "item_seq", "tag_words"):
        challenge_folder.file(name).unlink()
    raw_files, _ = prepare("challenge_files", challenge_folder)
    assert set(raw_files["files"]) == {"train", "valid", "test", "item_info"}


def test_a_file_that_is_no_parquet_has_no_rows_yet(challenge_folder):
    challenge_folder.file("test").write_bytes(b"hello")
    raw_files, _ = prepare("challenge_files", challenge_folder)
    assert raw_files["files"]["test"]["rows"] is None


@pytest.mark.parametrize("name", ["item_images.zip", "item_images.tar", "item_images.rar"])
def test_an_archive_of_covers_is_named(name, challenge_folder):
    (challenge_folder.path / name).write_bytes(b"")
    covers = prepare("challenge_files", challenge_folder)[0]["covers"]
    assert covers == {"path": name, "files": 1, "bytes": 0, "sha256": hashlib.sha256().hexdigest()}


def test_a_folder_of_covers_has_one_digest_over_names_and_contents(challenge_folder):
    folder = challenge_folder.path / "item_images"
    (folder / "more").mkdir(parents=True)
    contents = {"10.jpg": b"ten", "2.jpg": b"two", "more/3.jpg": b"three"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    lines = "".join(f"{name} {hashlib.sha256(contents[name]).hexdigest()}\n" for name in sorted(contents))
    expected = {"path": "item_images", "files": 3, "bytes": 11, "sha256": hashlib.sha256(lines.encode()).hexdigest()}
    assert prepare("challenge_files", challenge_folder)[0]["covers"] == expected
    (folder / "2.jpg").rename(folder / "4.jpg")
    assert prepare("challenge_files", challenge_folder)[0]["covers"]["sha256"] != expected["sha256"]


def test_the_covers_described_are_those_that_are_read(challenge_folder):
    (challenge_folder.path / "item_images").mkdir()
    (challenge_folder.path / "item_images" / "1.jpg.part").write_bytes(b"not yet")
    with tarfile.open(challenge_folder.path / "item_images.tar", "w"):
        pass
    assert Covers.find(challenge_folder.path).path.name == "item_images.tar"
    assert prepare("challenge_files", challenge_folder)[0]["covers"]["path"] == "item_images.tar"


def test_covers_that_are_links_have_the_digest_of_what_they_lead_to(challenge_folder, tmp_path):
    (images := challenge_folder.path / "item_images").mkdir()
    (tmp_path / "blobs").mkdir()
    (images / "more").mkdir()
    (images / "more" / "1.jpg").write_bytes(b"one")
    plain = prepare("challenge_files", challenge_folder)[0]["covers"]
    (images / "more" / "1.jpg").rename(tmp_path / "blobs" / "af01")
    (tmp_path / "blobs" / "more").mkdir()
    (tmp_path / "blobs" / "more" / "1.jpg").symlink_to("../af01")
    (images / "more").rmdir()
    (images / "more").symlink_to(tmp_path / "blobs" / "more")
    assert prepare("challenge_files", challenge_folder)[0]["covers"] == plain


def test_a_simulated_world_is_written_and_its_truth_handed_on(tmp_path):
    raw_files, truth = prepare("simulated", RawFolder(tmp_path))
    assert raw_files["source"] == "simulated"
    assert raw_files["world_version"] is not None
    assert raw_files["files"]["train"]["rows"] == 40
    assert truth.groupby("split").size().to_dict() == {"test": 8, "valid": 8}


def test_an_interaction_log_is_imported_from_its_folder(tmp_path, monkeypatch, challenge_folder):
    seen = []
    module = import_module("mmctr_kedro.data.importing.log")
    monkeypatch.setattr(module, "import_interaction_log", lambda *given: seen.append(given[1:]) or unknown_truth())
    _, truth = prepare("interaction_log", challenge_folder, RawFolder(tmp_path / "log"))
    assert seen == [(RawFolder(tmp_path / "log"), challenge_folder)]
    assert isinstance(truth, pd.DataFrame)
    assert truth.empty


@pytest.mark.parametrize("record", ["world.json", "import_log.json"])
def test_files_of_a_killed_simulation_or_import_are_not_taken_for_whole(challenge_folder, record):
    (challenge_folder.path / record).write_text('{"world_version": "3", "finished": false}')
    with pytest.raises(InvalidDataError, match=rf"{record} says that the run which wrote these files did not end"):
        prepare("challenge_files", challenge_folder)
