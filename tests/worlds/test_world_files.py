"""The files of a simulated world: the challenge's types, laws and padding, and the same bytes for a seed."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.challenge import PATHS, SCHEMAS, RawFolder, unknown_truth
from mmctr_kedro.worlds.lexicon import FAME
from mmctr_kedro.worlds.settings import WorldParams
from mmctr_kedro.worlds.world import WORLD_VERSION, write_world

SMALL = WorldParams(items=90, train_rows=800, valid_rows=200, test_rows=202, cover_size=32, themes=5, styles=4)


def _write(folder, **changes):
    raw = RawFolder(folder)
    return raw, write_world(SMALL.model_copy(update=changes), raw)


def _digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def _read(raw, name):
    return pq.read_table(raw.file(name))


def _matrix(column):
    array = column.combine_chunks()
    return array.flatten().to_numpy().reshape(len(array), -1)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return _write(tmp_path_factory.mktemp("world"), silent_users=7)


@pytest.mark.parametrize("name", PATHS)
def test_every_file_has_the_published_schema(small, name):
    assert _read(small[0], name).schema.equals(SCHEMAS[name])


def test_row_counts_are_those_asked_for(small):
    rows = {name: _read(small[0], name).num_rows for name in PATHS if name != "tag_words"}
    users = 200 + 50 + 51 + 7  # 202 test rows: 50 users of four rows and one of two
    assert rows == {
        "train": 800,
        "valid": 200,
        "test": 202,
        "item_info": 91,
        "item_feature": 90,
        "item_emb": 90,
        "item_seq": users,
    }


def test_item_info_starts_with_a_row_of_zeros_and_then_nearly_holds_v3(small):
    info, emb = _read(small[0], "item_info"), _read(small[0], "item_emb")
    vectors = _matrix(info["item_emb_d128"])
    assert info["item_id"].to_pylist() == list(range(91))
    assert not vectors[0].any()
    assert not _matrix(info["item_tags"])[0].any()
    v3 = _matrix(emb["item_emb_d128_v3"])
    assert not np.array_equal(vectors[1:], v3)
    np.testing.assert_allclose(vectors[1:], v3, atol=1e-3)


def test_tags_are_padded_on_the_left_and_are_those_of_item_feature(small):
    padded = _matrix(_read(small[0], "item_info")["item_tags"])[1:]
    lists = _read(small[0], "item_feature")["item_tags"].to_pylist()
    assert [row[row > 0].tolist() for row in padded] == lists
    assert (np.diff((padded > 0).astype(int), axis=1) >= 0).all()
    assert [] in lists
    assert max(tag for row in lists for tag in row) <= _read(small[0], "tag_words").num_rows


def test_rows_hold_the_users_history_with_the_newest_click_rightmost(small):
    sequences = dict(
        zip(*(_read(small[0], "item_seq")[name].to_pylist() for name in ("user_id", "item_seq")), strict=True)
    )
    assert sorted(sequences) == list(sequences) == list(range(1, len(sequences) + 1))
    for split in ("train", "valid", "test"):
        table = _read(small[0], split)
        padded = _matrix(table["item_seq"])
        for user, row in zip(table["user_id"].to_pylist(), padded, strict=True):
            assert row[64 - len(sequences[user]) :].tolist() == sequences[user]
            assert not row[: 64 - len(sequences[user])].any()


def test_a_user_belongs_to_one_split_and_has_one_click_among_four_rows(small):
    users = {}
    for split in ("train", "valid", "test"):
        table = _read(small[0], split)
        users[split] = set(table["user_id"].to_pylist())
        if split != "test":
            user, label = table["user_id"].to_numpy().reshape(-1, 4), table["label"].to_numpy().reshape(-1, 4)
            assert (user == user[:, :1]).all()
            assert (label.sum(axis=1) == 1).all()
    assert not users["train"] & users["valid"]
    assert not users["test"] & (users["train"] | users["valid"])


def test_no_target_is_in_the_history_beside_it_nor_in_item_seq(small):
    for split in ("train", "valid", "test"):
        table = _read(small[0], split)
        assert not (_matrix(table["item_seq"]) == table["item_id"].to_numpy()[:, None]).any()


def _levels(table):
    return np.column_stack([table["likes_level"].to_numpy(), table["views_level"].to_numpy()])


def test_every_level_occurs_among_the_items(small):
    levels = _levels(_read(small[0], "item_feature"))
    assert set(levels[:, 0]) == set(levels[:, 1]) == set(range(1, 11))


def test_rows_without_a_click_carry_the_levels_of_their_users_click(small):
    own = _levels(_read(small[0], "item_feature"))
    train = _read(small[0], "train")
    item, label = train["item_id"].to_numpy(), train["label"].to_numpy()
    clicked = np.repeat(own[item[label == 1] - 1], 4, axis=0)  # four rows a user, in the order of users
    np.testing.assert_array_equal(_levels(train), clicked)


def test_under_another_law_every_row_carries_its_items_levels(tmp_path):
    raw, _ = _write(tmp_path, row_levels="own")
    own = _levels(_read(raw, "item_feature"))
    for split in ("train", "test"):
        table = _read(raw, split)
        np.testing.assert_array_equal(_levels(table), own[table["item_id"].to_numpy() - 1])


def test_a_law_gives_what_is_left_out_and_nothing_else():
    assert WorldParams(law="challenge", popularity_spread=None).popularity_spread == 1.5
    assert WorldParams(law="challenge", popularity_spread=0.9).popularity_spread == 0.9
    assert WorldParams(law="taste").row_levels == WorldParams(law="popular").row_levels == "own"


@pytest.mark.parametrize("shown", [0.0, 1.0])
def test_titles_and_covers_show_levels_where_the_world_says_so(tmp_path, shown):
    raw, _ = _write(tmp_path, levels_shown=shown)
    feature = _read(raw, "item_feature")
    views, titles = feature["views_level"].to_numpy(), feature["item_title"].to_pylist()
    assert np.mean([FAME[level - 1] in title for level, title in zip(views, titles, strict=True)]) == shown
    foot = [np.asarray(Image.open(raw.path / f"item_images/{i + 1}.jpg").convert("L"))[-2] for i in range(90)]
    white = [row.mean() / 255 for row in foot]
    assert (np.corrcoef(white, feature["likes_level"].to_numpy())[0, 1] > 0.95) == bool(shown)


def test_test_ids_count_up_from_zero_and_truth_names_every_valid_and_test_row(small):
    raw, truth = small
    assert _read(raw, "test")["ID"].to_pylist() == list(range(202))
    for split, rows in (("valid", 200), ("test", 202)):
        assert truth.loc[truth["split"] == split, "row_id"].tolist() == list(range(rows))
    assert truth["row_id"].dtype == np.int64
    assert (truth.filter(like="posterior").dtypes == np.float64).all()
    assert list(truth) == list(unknown_truth())


def test_written_rows_and_written_truth_belong_together(tmp_path):
    """The posterior ranks the written labels about as well as in the calibration: no row is out of step."""
    truth = write_world(WorldParams(covers=False, law="taste"), RawFolder(tmp_path))
    label = pq.read_table(tmp_path / PATHS["valid"], columns=["label"])["label"].to_numpy()
    posterior = truth.loc[truth["split"] == "valid", "posterior"].to_numpy()
    clicked, shown = posterior[label == 1], posterior[label == 0]
    assert 0.90 <= (clicked[:, None] > shown).mean() <= 0.97


def test_new_items_are_in_no_train_row_and_no_train_history(tmp_path):
    write_world(WorldParams(covers=False, law="taste"), RawFolder(tmp_path))
    columns = ["item_id", "item_seq"]
    train, test = (pq.read_table(tmp_path / PATHS[split], columns=columns) for split in ("train", "test"))
    met = {*train["item_id"].to_numpy(), *_matrix(train["item_seq"]).ravel()}
    share = (~np.isin(test["item_id"].to_numpy(), list(met))).mean()
    assert 0.01 < share < 0.03


def test_every_item_has_a_cover_of_the_size_asked_for(small):
    covers = sorted((small[0].path / "item_images").iterdir(), key=lambda path: int(path.stem))
    assert [path.name for path in covers] == [f"{item}.jpg" for item in range(1, 91)]
    with Image.open(covers[0]) as image:
        assert image.size == (32, 32)


def test_the_truth_is_nowhere_in_the_folder(small):
    found = {str(path.relative_to(small[0].path)) for path in small[0].path.rglob("*.*") if path.suffix != ".jpg"}
    assert found == {*PATHS.values(), "world.json"}


def test_world_json_names_version_and_settings(small):
    described = json.loads((small[0].path / "world.json").read_text())
    assert described["world_version"] == WORLD_VERSION
    assert WorldParams(**described["params"]) == SMALL.model_copy(update={"silent_users": 7})


def test_world_json_says_so_until_the_world_is_whole(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mmctr_kedro.worlds.world._write_users", stop)
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path)
    assert json.loads((tmp_path / "world.json").read_text())["finished"] is False
    monkeypatch.undo()
    _write(tmp_path)
    assert "finished" not in json.loads((tmp_path / "world.json").read_text())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    first, again, other = (_write(tmp_path / name, seed=seed)[0].path for name, seed in (("a", 5), ("b", 5), ("c", 6)))
    assert _digests(first) == _digests(again)
    differing = {name for name, digest in _digests(first).items() if _digests(other)[name] != digest}
    assert differing == set(_digests(first)) - {PATHS["tag_words"]}


def test_other_users_leave_every_item_file_untouched(tmp_path):
    first, second = (_write(tmp_path / name, user_seed=seed)[0].path for name, seed in (("a", 1), ("b", 2)))
    same = {name for name, digest in _digests(first).items() if _digests(second)[name] == digest}
    assert {PATHS[name] for name in ("item_feature", "item_emb", "item_info", "tag_words")} < same
    assert not same & {PATHS[name] for name in ("train", "valid", "test", "item_seq")}


def test_a_smaller_world_without_covers_leaves_no_cover_of_the_last_one(tmp_path):
    _write(tmp_path)
    _write(tmp_path, covers=False)
    assert not (tmp_path / "item_images").exists()


def test_data_that_is_not_simulated_is_never_overwritten(tmp_path):
    real = tmp_path / PATHS["item_seq"]
    real.write_bytes(b"precious")
    with pytest.raises(MmctrError, match=r"item_seq\.parquet.*--params"):
        _write(tmp_path)
    assert real.read_bytes() == b"precious"


@pytest.mark.parametrize("place", ["item_images/90001.jpg", "item_images.zip"])
def test_covers_that_are_not_simulated_are_never_removed(tmp_path, place):
    cover = tmp_path / place
    cover.parent.mkdir(exist_ok=True)
    cover.write_bytes(b"precious")
    with pytest.raises(MmctrError, match=r"item_images.*Nothing was overwritten"):
        _write(tmp_path)
    assert cover.read_bytes() == b"precious"
