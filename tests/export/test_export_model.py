"""An exported model says what the trained one says: of any histories, of new items, of every model."""

import numpy as np
import onnxruntime
import pytest

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.export.export_model import export_model, measure, padded_histories, runner
from mmctr_kedro.export.settings import ExportParams
from mmctr_kedro.models import TrainedModel, build_model
from mmctr_kedro.models.settings import MODEL_PARAMS, CtrParams
from mmctr_kedro.scoring.scorer import Scorer

ITEMS, NEW, WIDTH, ROWS, LONGEST = 30, 2, 16, 10_000, 20
rng = np.random.default_rng(7)
TAGS = np.pad(rng.integers(0, 9, (ITEMS, 5), dtype=np.int32), [(1, 0), (0, 0)])
EMBEDDING = np.pad(rng.standard_normal((ITEMS, WIDTH)).astype(np.float32), [(1, 0), (0, 0)])
LEVELS = np.pad(rng.integers(1, 11, (ITEMS, 2), dtype=np.int8), [(1, 0), (0, 0)])
SMALL = {
    "din": {},
    "qin": {"width": 8, "layers": 2},
    "transformer_dcn": {"width": 8, "heads": 2, "feed_forward": 16, "last": 4, "dnn_units": [16], "head_units": [8]},
    "evidence": {"levels": False, "popularity": True, "co_clicks": True, "record": "counted"},
}
CASES = {name: {"name": name, **SMALL.get(name, {})} for name in MODEL_PARAMS}
CASES["published_mask"] = CASES["transformer_dcn"] | {"published_mask": True}


def scorer_of(settings: dict, **training) -> Scorer:
    """A network with random weights, tables and norms included, on 30 items and two that training never saw."""
    import torch

    ctr = CtrParams(model=settings, threads=1, device="cpu", **training)
    torch.manual_seed(1)
    network = build_model(ctr, TAGS, EMBEDDING)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    for name, value in weights.items():
        if value.dtype == np.float32 and value.std() < 1e-3:  # tables near zero, norms that do nothing
            weights[name] = value + rng.uniform(0.1, 0.5, value.shape).astype(np.float32)
    sizes = {"items": ITEMS + 1, "tags": int(TAGS.max()) + 1, "embedding_width": WIDTH}
    model = TrainedModel({"ctr": ctr.model_dump(mode="json"), "leak_free": "", **sizes}, weights)
    scorer = Scorer(model, TAGS, EMBEDDING, LEVELS)
    scorer.add_items(TAGS[[4, 9]] * 0, EMBEDDING[[4, 9]] + 1, LEVELS[[4, 9]])
    return scorer


@pytest.fixture(
    scope="module",
    params=[pytest.param(case, marks=pytest.mark.slow) if case == "published_mask" else case for case in CASES],
)
def exported(request) -> tuple[Scorer, dict[str, bytes]]:
    scorer = scorer_of(CASES[request.param], max_history=12)
    return scorer, export_model(scorer, ExportParams(variants=()))


def rows(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Zeros before, after and among clicks, rows that are all padding, new items on both sides."""
    rng = np.random.default_rng(seed)
    histories = rng.integers(1, ITEMS + NEW + 1, (ROWS, LONGEST))
    histories[rng.random(histories.shape) < rng.random((ROWS, 1))] = 0
    histories[::5] = 0
    return histories, rng.integers(1, ITEMS + NEW + 1, ROWS)


@pytest.mark.parametrize("file", ["model.onnx", "model.pt2"])
def test_ten_thousand_rows_score_as_the_trained_model_scores_them(exported, file):
    scorer, files = exported
    histories, items = rows()
    expected = scorer.score([history[history > 0] for history in histories], items)
    assert expected.std() > 1e-3  # they differ, or equality would say nothing
    np.testing.assert_allclose(runner(file, files[file])(histories, items), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("file", ["model.onnx", "model.pt2"])
@pytest.mark.parametrize("shape", [(1, 1), (1, LONGEST), (3, 0), (7, 70)])
def test_any_number_of_rows_and_of_places_is_taken_and_empty_histories_too(exported, file, shape):
    scorer, files = exported
    run = runner(file, files[file])
    items = np.arange(1, shape[0] + 1)
    for histories in (np.zeros(shape, np.int64), np.resize(np.arange(1, 12), shape)):
        expected = scorer.score([history[history > 0] for history in histories], items)
        np.testing.assert_allclose(run(histories, items), expected, rtol=0, atol=1e-5)


def test_inputs_and_output_are_named_and_typed_for_whoever_opens_the_file(exported):
    session = onnxruntime.InferenceSession(exported[1]["model.onnx"])
    assert [(given.name, given.type) for given in session.get_inputs()] == [
        ("histories", "tensor(int64)"),
        ("items", "tensor(int64)"),
    ]
    assert [(given.name, given.type) for given in session.get_outputs()] == [("pctr", "tensor(float)")]


@pytest.fixture(scope="module")
def labelled() -> Clicks:
    lengths, items = np.arange(40) % 4, rng.integers(1, ITEMS + 1, 40)
    return Clicks(
        history_user=np.arange(40),
        history_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        history_items=rng.integers(1, ITEMS + 1, lengths.sum()),
        history=np.arange(40)[::-1],
        item=items,
        likes_level=LEVELS[items, 0],
        views_level=LEVELS[items, 1],
        row_id=np.arange(40),
        label=np.arange(40) % 2,
    )


def test_histories_are_padded_on_the_left(labelled):
    padded = padded_histories(labelled)
    for row, history in enumerate(labelled.history):
        begin, end = labelled.history_offsets[history : history + 2]
        assert padded[row].tolist() == [0] * (3 - end + begin) + labelled.history_items[begin:end].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("name", MODEL_PARAMS)
def test_variants_run_are_smaller_and_are_measured_beside_the_trained_model(name, labelled):
    scorer = scorer_of(CASES[name])
    files = export_model(scorer)
    measured = {entry["file"]: entry for entry in measure(files, scorer, labelled)}
    assert list(measured) == ["", "model.onnx", "model.pt2", "model_int8.onnx", "model_fp16.onnx"]
    assert measured["model.onnx"]["largest_difference"] <= 1e-5
    assert measured["model_fp16.onnx"]["bytes"] < measured["model.onnx"]["bytes"]
    assert 0 < measured["model_fp16.onnx"]["largest_difference"] < 0.05
