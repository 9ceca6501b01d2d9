"""The real MovieLens log under conf/movielens; skipped where ../shared/data/movielens is absent."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from mmctr_kedro.data.challenge import RawFolder
from mmctr_kedro.data.importing.log_files import read_log
from mmctr_kedro.data.settings import InteractionLogParams
from mmctr_kedro.pipelines.import_log.nodes import import_log

PROJECT = Path(__file__).parents[3]
SOURCE = PROJECT.parent / "shared" / "data" / "movielens"
pytestmark = pytest.mark.skipif(not SOURCE.is_dir(), reason="../shared/data/movielens is not on this machine")


@pytest.fixture(scope="module")
def params():
    text = (PROJECT / "conf" / "movielens" / "parameters_import_log.yml").read_text()
    return InteractionLogParams(**yaml.safe_load(text)["import_log"])


@pytest.fixture(scope="module")
def folder(params, tmp_path_factory):
    path = tmp_path_factory.mktemp("movielens")
    import_log(params.model_copy(update={"covers": "no_covers"}), _without_covers(path), RawFolder(path / "out"))
    return RawFolder(path / "out")


def _without_covers(path: Path) -> RawFolder:
    """The tables alone: decoding 2,984 posters is not what is tested here."""
    (path / "log" / "no_covers").mkdir(parents=True)
    for name in ("ratings.csv", "movies.csv"):
        (path / "log" / name).symlink_to(SOURCE / name)
    return RawFolder(path / "log")


def test_the_log_is_read_whole(params):
    log, items = read_log(SOURCE, params, duckdb.connect())
    [part] = log.parts()
    assert (len(part.user), log.users, len(items.ids), int(part.click.sum())) == (
        100_836,
        610,
        9_742,
        48_580,
    )


def test_no_history_holds_a_click_of_its_targets_time_or_later(params, folder):
    [part] = read_log(SOURCE, params, duckdb.connect())[0].parts()
    time = {(u, i): t for u, i, t in zip(part.user.tolist(), part.item.tolist(), part.time.tolist(), strict=True)}
    for name in ("train", "valid"):
        table = pq.read_table(folder.file(name))
        click = table["label"].to_numpy() == 1
        users, targets = table["user_id"].to_numpy()[click], table["item_id"].to_numpy()[click]
        histories = np.stack(table["item_seq"].to_numpy()[click])
        for user, target, history in zip(users.tolist(), targets.tolist(), histories.tolist(), strict=True):
            assert all(time[user, item] < time[user, target] for item in history if item)


def test_the_size_suits_a_laptop_and_a_quarter_of_the_rows_are_clicks(folder):
    label = pq.read_table(folder.file("train"), columns=["label"])["label"].to_numpy()
    assert 20_000 < len(label) < 80_000
    assert label.mean() == 0.25
