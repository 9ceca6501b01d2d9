"""A trained model put to use: equal to its batch predictions, for new items and any histories, and without the leak."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.settings import MODEL_PARAMS, CtrParams
from mmctr_kedro.scoring.scorer import Scorer
from mmctr_kedro.training.trained_model import leave_out_the_leak, predict, train

ITEMS, WIDTH = 30, 16
SMALL = {"transformer_dcn": {"heads": 2}}
rng = np.random.default_rng(7)
TAGS = np.pad(rng.integers(0, 9, (ITEMS, 5), dtype=np.int32), [(1, 0), (0, 0)])
EMBEDDING = np.pad(rng.standard_normal((ITEMS, WIDTH)).astype(np.float32), [(1, 0), (0, 0)])
LEVELS = np.pad(rng.integers(1, 11, (ITEMS, 2), dtype=np.int8), [(1, 0), (0, 0)])
CONTENT = pd.DataFrame({"item_id": np.arange(1, ITEMS + 1), "likes_level": LEVELS[1:, 0], "views_level": LEVELS[1:, 1]})


def rows(count: int, seed: int) -> Clicks:
    """Rows whose histories have 0 to 7 clicks, each row one of its own."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 8, count)
    item = rng.integers(1, ITEMS + 1, count)
    return Clicks(
        history_user=np.arange(count),
        history_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        history_items=rng.integers(1, ITEMS + 1, lengths.sum()),
        history=np.arange(count),
        item=item,
        likes_level=LEVELS[item, 0],
        views_level=LEVELS[item, 1],
        row_id=np.arange(count),
        label=(rng.random(count) < 0.3).astype(np.int8),
    )


TRAIN, VALID = rows(96, 1), rows(40, 2)
HISTORIES = np.split(VALID.history_items, VALID.history_offsets[1:-1])


@pytest.fixture(scope="module", params=MODEL_PARAMS)
def model(request) -> TrainedModel:
    """Of each kind, freed of the leak."""
    settings = {"name": request.param, **SMALL.get(request.param, {})}
    if request.param == "evidence":
        settings["compare"] = False
    params = CtrParams(model=settings, epochs=1, batch_size=32, threads=1, device="cpu")
    made, _ = train(TRAIN, VALID, TAGS, EMBEDDING, params)
    return leave_out_the_leak(made, CONTENT, TRAIN, VALID, TAGS, EMBEDDING)[0]


@pytest.fixture
def scorer(model) -> Scorer:
    return Scorer(model, TAGS, EMBEDDING, LEVELS)


def test_scores_are_bit_for_bit_the_batch_predictions_of_the_same_rows(scorer, model):
    assert np.array_equal(scorer.score(HISTORIES, VALID.item), predict(model, VALID, TAGS, EMBEDDING))


def test_lists_arrow_and_tables_with_padding_give_the_same_scores(scorer):
    expected = scorer.score(HISTORIES, VALID.item)
    lists = [history.tolist() for history in HISTORIES]
    padded = [[0] * (7 - len(history)) + history for history in lists]
    assert np.array_equal(scorer.score(lists, VALID.item), expected)
    assert np.array_equal(scorer.score(pa.array(lists), VALID.item), expected)
    table = pd.DataFrame({"item_seq": padded, "item_id": VALID.item, "likes_level": 3})
    assert np.array_equal(scorer.score_table(table), expected)
    assert np.array_equal(scorer.score_table(pa.Table.from_pandas(table)), expected)


def test_several_candidates_share_a_history(scorer):
    shared = scorer.score(HISTORIES[:2], [5, 6, 7], history=np.array([0, 0, 1]))
    apart = scorer.score([HISTORIES[0], HISTORIES[0], HISTORIES[1]], [5, 6, 7])
    np.testing.assert_allclose(shared, apart, atol=1e-6)


def test_the_ranking_is_that_of_the_scores_best_first(scorer):
    ids, pctr = scorer.rank(HISTORIES[:3], k=4)
    for history, best, scores in zip(HISTORIES[:3], ids, pctr, strict=True):
        every = scorer.score([history] * ITEMS, np.arange(1, ITEMS + 1))
        np.testing.assert_allclose(scores, every[best - 1], atol=1e-6)
        assert (scores[-1] >= np.delete(every, best - 1) - 1e-6).all()
    among, _ = scorer.rank(HISTORIES[:1], k=9, among=[8, 3, 3, 12])
    assert sorted(among[0].tolist()) == [3, 8, 12]


@pytest.mark.parametrize("history", [[], [4], [9, 3, 9, ITEMS + 1, 17, 2]], ids=["empty", "one", "new item and twice"])
def test_one_history_and_many_candidates_score_as_rows_do_and_in_their_order(scorer, history):
    scorer.add_items(TAGS[4], EMBEDDING[9], LEVELS[4])
    candidates = [ITEMS + 1, *range(1, ITEMS + 1), 5]
    rows = scorer.score([history] * len(candidates), candidates)
    found = scorer.score_candidates(history, candidates)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, rows, atol=1e-6)
    assert scorer.score_candidates(history, []).shape == (0,)
    (ids,), (pctr,) = scorer.rank([history], k=ITEMS + 1)
    assert sorted(ids) == list(range(1, ITEMS + 2))
    np.testing.assert_allclose(pctr, scorer.score([history] * len(ids), ids), atol=1e-6)
    assert (np.diff(pctr) <= 0).all()


def test_many_candidates_are_scored_a_part_at_a_time_and_given_up_in_time(scorer, monkeypatch):
    candidates = np.arange(1, ITEMS + 1)
    whole = scorer.score_candidates([3, 4], candidates)
    monkeypatch.setattr("mmctr_kedro.scoring.scorer.AT_ONCE", 7)
    np.testing.assert_allclose(scorer.score_candidates([3, 4], candidates), whole, atol=1e-6)
    with pytest.raises(TimeoutError):
        scorer.score_candidates([3, 4], candidates, until=0)


def test_equal_scores_go_by_id(scorer, monkeypatch):
    monkeypatch.setattr(scorer, "_after", lambda clicked, items: np.full(len(items), 0.5, np.float32))
    assert scorer.rank([[1]], k=3)[0].tolist() == [[1, 2, 3]]


def test_an_item_that_training_never_saw_is_scored_by_what_is_given_of_it(scorer):
    before = scorer.score(HISTORIES, VALID.item)
    new = scorer.add_items(TAGS[[4, 9]], EMBEDDING[[4, 9]], LEVELS[[4, 9]])
    assert new.tolist() == [ITEMS + 1, ITEMS + 2]
    assert scorer.items == ITEMS + 2
    assert np.array_equal(scorer.score(HISTORIES, VALID.item), before)  # nothing else has moved
    pctr = scorer.score([[4, 9], [ITEMS + 1, ITEMS + 2], []], [ITEMS + 1, 4, ITEMS + 2])
    assert np.isfinite(pctr).all()
    assert ITEMS + 1 in scorer.rank([[1, 2]], k=ITEMS + 2)[0]


def test_a_history_longer_than_trained_counts_by_its_newest_clicks(model):
    scorer = Scorer(model, TAGS, EMBEDDING, LEVELS)
    longest = scorer.params.max_history
    newest = (np.arange(longest) % ITEMS + 1).tolist()
    assert scorer.score([[7] * 40 + newest], [3]) == scorer.score([newest], [3])


def test_no_rows_and_no_history_are_fine(scorer):
    assert scorer.score([], []).shape == (0,)
    assert np.isfinite(scorer.score([[]], [1])).all()


def test_a_model_that_may_read_the_leak_is_refused(model):
    settings = {name: value for name, value in model.settings.items() if name != "leak_free"}
    with pytest.raises(MmctrError, match=r"may read the levels' leak.*leak_free_model.safetensors"):
        Scorer(TrainedModel(settings, model.weights), TAGS, EMBEDDING, LEVELS)


def test_levels_are_asked_for_by_models_that_read_them_and_by_no_other(model):
    if model.settings["ctr"]["model"]["name"] == "evidence":
        bare = Scorer(model, TAGS, EMBEDDING)
        full = Scorer(model, TAGS, EMBEDDING, LEVELS)
        assert np.array_equal(bare.score(HISTORIES, VALID.item), full.score(HISTORIES, VALID.item))
        assert bare.add_items(TAGS[1], EMBEDDING[1]).tolist() == [ITEMS + 1]
    else:
        with pytest.raises(MmctrError, match="reads levels: give item_levels"):
            Scorer(model, TAGS, EMBEDDING)
        with pytest.raises(MmctrError, match="reads levels: give item_levels"):
            Scorer(model, TAGS, EMBEDDING, LEVELS).add_items(TAGS[1], EMBEDDING[1])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda s: s.score([[1, 2], [3, 99]], [4, 5]), "history row 1: 99 is no item; known are 1..30"),
        (lambda s: s.score([[1], [2]], [4, 31]), "candidates row 1: 31 is no item"),
        (lambda s: s.score([[1], [2]], [4, 0]), "candidates row 1: 0 is no item"),
        (lambda s: s.score([[1], [-2]], [4, 4]), "history row 1: -2 is no item"),
        (lambda s: s.score([[1]], [4, 5]), "2 candidates belong to 2 histories of 1"),
        (lambda s: s.rank([[1]], among=[4, 77]), "among row 1: 77 is no item"),
        (lambda s: s.score_candidates([1, 2, 31], [4]), "history row 2: 31 is no item; known are 1..30"),
        (lambda s: s.score_candidates([1], [4, 77]), "candidates row 1: 77 is no item"),
        (lambda s: s.score_table(pd.DataFrame({"item_id": [1]})), "the table has no item_seq; it has item_id."),
        (lambda s: s.add_items(TAGS[:2], EMBEDDING[:2, :9], LEVELS[:2]), r"embedding \[2, 9\]; expected \[2, 16\]"),
        (lambda s: s.add_items(TAGS[:2], EMBEDDING[:2] * np.nan, LEVELS[:2]), "not finite in rows 0, 1"),
        (lambda s: s.add_items(TAGS[:2] + 99, EMBEDDING[:2], LEVELS[:2]), "a tag in rows 0, 1 is none of 0..8"),
        (lambda s: s.add_items(TAGS[:2], EMBEDDING[:2], LEVELS[:2] + 20), "of items 31, 32: expected 0..10"),
        (lambda s: s.add_items(TAGS[:2], EMBEDDING[:2], LEVELS[:3]), r"item_levels is \[3, 2\]; expected \[2, 2\]"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_by_its_row(wrong, said, scorer):
    with pytest.raises(MmctrError, match=said):
        wrong(scorer)
    assert scorer.items == ITEMS
