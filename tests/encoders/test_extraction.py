"""Extraction encodes each content once, goes on after a kill, and never reads what is half written."""

import io
import json
import logging
import multiprocessing
import os
import random
import signal
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmctr_kedro import encoders
from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.covers import Covers
from mmctr_kedro.encoders import extraction, store
from mmctr_kedro.encoders.extraction import CoverJob, TitleJob, extract
from mmctr_kedro.encoders.settings import ImageEncoderParams, TextEncoderParams
from mmctr_kedro.encoders.store import VectorStore, content_key

FORK = multiprocessing.get_context("fork")


class Letters:
    """A text encoder by hand, which writes down in a file what it was given."""

    width = 3
    log: Path | None = None
    pause = 0.0
    version = 1

    def __init__(self, params) -> None: ...

    @classmethod
    def identity(cls, params) -> dict:
        return {"version": cls.version, "prompt": str(params.sentence_transformer)}

    def encode(self, texts) -> np.ndarray:
        if self.log:
            with self.log.open("a") as log:
                log.write("".join(f"{text}\n" for text in texts))
        time.sleep(self.pause)
        return np.array([[len(text), sum(map(ord, text)) % 1009, ord(text[0])] for text in texts], dtype=np.float32)


class Colours:
    """An image encoder by hand: mean colour, and the length of the text if it reads it."""

    width, side, reads_text = 4, 8, False

    def __init__(self, params) -> None: ...

    @classmethod
    def identity(cls, params) -> dict:
        return {"reads_text": cls.reads_text}

    def encode(self, pixels, texts=None) -> np.ndarray:
        lengths = [len(text) for text in texts] if texts is not None else [0] * len(pixels)
        return np.column_stack([pixels.mean((1, 2)), lengths]).astype(np.float32)


@pytest.fixture(autouse=True)
def by_hand(monkeypatch, tmp_path):
    monkeypatch.setitem(encoders.TEXT_ENCODERS, "minilm", Letters)
    monkeypatch.setitem(encoders.IMAGE_ENCODERS, "efficientnet_lite0", Colours)
    monkeypatch.setattr(Letters, "log", tmp_path / "encoded.txt")


def titles(texts: list[str], folder: Path, **settings) -> np.ndarray:
    job = TitleJob(TextEncoderParams(batch_size=2, **settings), texts)
    return np.array(extract(job, np.arange(1, len(texts) + 1), VectorStore(folder)).vectors)


def encoded() -> list[str]:
    """What went through the encoder since the last call."""
    assert Letters.log is not None
    found = Letters.log.read_text().split("\n")[:-1] if Letters.log.is_file() else []
    Letters.log.unlink(missing_ok=True)
    return found


def expected(texts: list[str]) -> np.ndarray:
    vectors = np.zeros((len(texts) + 1, 3), np.float32)
    for row, text in enumerate(texts, 1):
        if text:
            vectors[row] = [len(text), sum(map(ord, text)) % 1009, ord(text[0])]
    return vectors


# --- each content once -----------------------------------------------------------------------------------


def test_a_second_run_encodes_nothing_and_does_not_load_the_encoder(tmp_path, monkeypatch, caplog):
    texts = ["Heat", "Up", "", "Heat"]
    first = titles(texts, tmp_path)
    np.testing.assert_array_equal(first, expected(texts))
    assert sorted(encoded()) == ["Heat", "Up"]  # equal texts once, an empty one never

    def refuse(*_):
        raise AssertionError("the encoder was loaded")

    monkeypatch.setattr(Letters, "__init__", refuse)
    caplog.set_level(logging.INFO)
    np.testing.assert_array_equal(titles(texts, tmp_path), first)
    assert "titles: nothing to encode; 4 were known" in caplog.text


def test_a_changed_title_is_encoded_again_and_no_other(tmp_path):
    titles(["Heat", "Up", "Alien"], tmp_path)
    encoded()
    changed = ["Heat", "Up!", "Alien"]
    np.testing.assert_array_equal(titles(changed, tmp_path), expected(changed))
    assert encoded() == ["Up!"]
    titles(["Alien", "Heat", "Up"], tmp_path)  # other places, and the old title back
    assert not encoded()


def test_another_encoder_or_setting_shares_nothing(tmp_path, monkeypatch):
    titles(["Heat"], tmp_path)
    monkeypatch.setattr(Letters, "version", 2)
    titles(["Heat"], tmp_path)
    assert encoded() == ["Heat", "Heat"]
    assert len(list(tmp_path.glob("minilm-*"))) == 2


def test_settings_that_change_no_vector_keep_what_was_encoded(tmp_path):
    for settings in ({}, {"threads": 1}):
        titles(["Heat"], tmp_path, **settings)
    assert encoded() == ["Heat"]


def test_no_content_at_all_gives_rows_of_zeros(tmp_path):
    assert titles(["", ""], tmp_path).tolist() == [[0, 0, 0]] * 3


def test_the_key_tells_parts_from_their_join():
    assert content_key(b"ab", b"c") != content_key(b"a", b"bc")


@pytest.mark.parametrize("title", ["\ud800 half a pair", "🎬" * 9000, "мир #тег", "\x00"])
def test_any_title_has_a_key(tmp_path, title):
    ((_, key, _),) = TitleJob(TextEncoderParams(), [title]).read(np.array([1]))
    assert key == content_key(title.encode("utf-8", "surrogatepass"))


# --- covers ----------------------------------------------------------------------------------------------


def png(colour, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (12, 12), colour).save(buffer, "PNG")
    return buffer.getvalue()


def covers_in(folder: Path, contents: dict[int, bytes]) -> Covers:
    (folder / "item_images").mkdir(parents=True)
    for item, data in contents.items():
        (folder / "item_images" / f"{item}.jpg").write_bytes(data)
    return Covers.find(folder)


def test_covers_are_known_by_their_bytes_and_refused_ones_are_looked_at_again(tmp_path):
    covers = covers_in(tmp_path, {1: png((10, 0, 0)), 2: b"junk", 4: png((10, 0, 0)), 5: png((0, 20, 0))})
    job = CoverJob(ImageEncoderParams(batch_size=2), covers, [""] * 5)
    for _ in range(2):
        vectors, refused = extract(job, np.arange(1, 6), VectorStore(tmp_path / "encoded"))
        rows = [[0, 0, 0, 0], [10, 0, 0, 0], [0] * 4, [0] * 4, [10, 0, 0, 0], [0, 20, 0, 0]]
        assert np.array(vectors).tolist() == rows
        assert {item: why.kind for item, why in refused.items()} == {2: "unreadable", 3: "missing"}


def test_an_encoder_of_both_is_given_the_text_of_its_cover_and_knows_the_item_by_both(tmp_path, monkeypatch):
    monkeypatch.setattr(Colours, "reads_text", True)
    covers = covers_in(tmp_path, {1: png((10, 0, 0)), 2: b"junk", 3: png((10, 0, 0))})
    store = VectorStore(tmp_path / "encoded")
    job = CoverJob(ImageEncoderParams(), covers, ["Heat", "Up", "Alien"])
    assert np.array(extract(job, np.arange(1, 4), store).vectors)[:, 3].tolist() == [0, 4, 0, 5]
    job = CoverJob(ImageEncoderParams(), covers, ["Heat 2", "Up", "Alien"])
    assert np.array(extract(job, np.arange(1, 4), store).vectors)[:, 3].tolist() == [0, 6, 0, 5]


# --- kills and damage ------------------------------------------------------------------------------------


def test_killed_at_random_points_again_and_again_it_ends_with_the_same_vectors(tmp_path, monkeypatch):
    texts = [f"title {number}" for number in range(400)]
    monkeypatch.setattr(store, "SHARD_ROWS", 8)
    monkeypatch.setattr(extraction, "TEXTS_AT_A_TIME", 1)
    monkeypatch.setattr(Letters, "pause", 0.001)
    rng, kills, ended = random.Random(1), 0, False

    def written() -> int:
        return Letters.log.read_text().count("\n") if Letters.log.is_file() else 0

    while not ended:
        process = FORK.Process(target=titles, args=(texts, tmp_path / "encoded"))
        goal = written() + rng.randrange(40)  # titles, not seconds: a busy machine gets as far
        process.start()
        while process.is_alive() and written() < goal:
            time.sleep(0.001)
        process.join(rng.uniform(0, 0.02))
        if ended := process.exitcode is not None:
            assert process.exitcode == 0
        else:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
        assert kills < 300
    assert kills >= 3
    done = encoded()
    assert set(done) == set(texts)
    assert len(done) <= len(texts) + kills * (8 + 2)  # a kill costs a shard and a batch
    np.testing.assert_array_equal(titles(texts, tmp_path / "encoded"), expected(texts))
    assert not encoded()


def only_folder(root: Path) -> Path:
    (folder,) = root.iterdir()
    return folder


@pytest.mark.parametrize("damage", ["cut", "altered", "gone", "something else"])
def test_a_shard_that_is_damaged_or_gone_is_encoded_again(tmp_path, damage):
    root = tmp_path / "encoded"
    titles(["Heat", "Up"], root)
    shard = next(only_folder(root).glob("*.npz"))
    data = bytearray(shard.read_bytes())
    data[data.rindex(b"\x93NUMPY") + 130] ^= 1  # in the first number, after a header of 128 bytes
    if damage == "gone":
        shard.unlink()
    else:
        shard.write_bytes({"cut": data[:-7], "altered": data, "something else": b"PK"}[damage])
    encoded()
    np.testing.assert_array_equal(titles(["Heat", "Up"], root), expected(["Heat", "Up"]))
    assert sorted(encoded()) == ["Heat", "Up"]
    assert not titles(["Heat", "Up"], root)[0].any()
    assert not encoded()  # mended


def test_an_error_in_the_middle_keeps_what_was_encoded_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "TEXTS_AT_A_TIME", 1)
    encode = Letters.encode

    def fail_at_up(self, texts):
        if "Up" in texts:
            raise KeyboardInterrupt
        return encode(self, texts)

    monkeypatch.setattr(Letters, "encode", fail_at_up)
    with pytest.raises(KeyboardInterrupt):
        titles(["Heat", "Alien", "Up"], tmp_path)
    monkeypatch.setattr(Letters, "encode", encode)
    encoded()
    titles(["Heat", "Alien", "Up"], tmp_path)
    assert encoded() == ["Up"]


def test_two_runs_at_once_add_to_each_other(tmp_path):
    root = tmp_path / "encoded"
    one, other = (VectorStore(root).shards({"encoder": "x"}) for _ in range(2))
    for shards, name in ((one, b"a"), (other, b"b")):
        shards.add([content_key(name)], np.ones((1, 2), np.float32))
        shards.flush()
    assert set(VectorStore(root).shards({"encoder": "x"}).places) == {content_key(b"a"), content_key(b"b")}


def test_a_slow_encoder_has_its_work_on_disk_before_the_shard_is_full(tmp_path, monkeypatch):
    shards = VectorStore(tmp_path).shards({"encoder": "x"})
    monkeypatch.setattr(store, "SHARD_SECONDS", 0.0)
    shards.add([content_key(b"a")], np.ones((1, 2), np.float32))
    assert content_key(b"a") in VectorStore(tmp_path).shards({"encoder": "x"}).places


def test_the_store_says_which_encoder_made_a_folder(tmp_path):
    titles(["Heat"], tmp_path)
    about = json.loads(next(tmp_path.glob("minilm-*/encoder.json")).read_text())
    assert about == {"encoder": "minilm", "reads": "text", "version": 1, "prompt": "None"}


# --- on Ray ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_ray_cluster_gives_the_same_vectors_and_keys_with_the_packaged_encoders(tmp_path, monkeypatch):
    """Real encoders, as workers import the package afresh; a cover is damaged, a title empty, two are equal."""
    monkeypatch.undo()
    texts = ["Heat", "Up", "", "Heat", "🎬 мир"]
    contents = {item: png((item * 40, 0, 99)) for item in (1, 2, 5)} | {3: b"junk"}
    covers = covers_in(tmp_path, contents)
    items = np.arange(1, 6)
    for make in (
        lambda: TitleJob(TextEncoderParams(threads=1), texts),
        lambda: CoverJob(ImageEncoderParams(threads=1), covers, texts),
    ):
        here, there = (extract(make(), items, VectorStore(tmp_path / engine), engine) for engine in ("local", "ray"))
        np.testing.assert_allclose(np.array(there.vectors), np.array(here.vectors), atol=1e-5)
        assert there.refused == here.refused
        keys = [set(VectorStore(tmp_path / engine).shards(make().identity()).places) for engine in ("local", "ray")]
        assert keys[0] == keys[1]


def test_ray_cannot_go_straight_to_a_cover_in_an_archive_read_from_its_start(tmp_path):
    covers = covers_in(tmp_path, {1: png((1, 2, 3))})
    job = CoverJob(ImageEncoderParams(), covers, [""])
    job.anywhere = False
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    with pytest.raises(MmctrError, match=r"make it a \.zip"):
        extract(job, np.arange(1, 2), VectorStore(tmp_path / "encoded"), "ray")


def test_without_ray_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    from mmctr_kedro.encoders import on_ray

    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(MmctrError, match=r"pip install -c requirements\.lock ray"):
        extract(TitleJob(TextEncoderParams(), ["a"]), np.arange(1, 2), VectorStore(tmp_path), "ray")
