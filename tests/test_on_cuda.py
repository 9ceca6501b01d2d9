"""What docs/gpu.md says of CUDA; skipped where there is none."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from mmctr_kedro.common.machine import reproducible
from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.models import build_model
from mmctr_kedro.models.settings import MODEL_PARAMS, CtrParams
from mmctr_kedro.scoring.scorer import Scorer
from mmctr_kedro.training.batches import batches_after, make_batch
from mmctr_kedro.training.steps import Steps
from mmctr_kedro.training.trained_model import leave_out_the_leak, predict, train

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]

ITEMS, WIDTH = 400, 32
RNG = np.random.default_rng(11)
TAGS = np.pad(RNG.integers(0, 20, (ITEMS, 5), dtype=np.int32), [(1, 0), (0, 0)])
EMBEDDING = np.pad(RNG.standard_normal((ITEMS, WIDTH)).astype(np.float32), [(1, 0), (0, 0)])
LEVELS = np.pad(RNG.integers(1, 11, (ITEMS, 2), dtype=np.int8), [(1, 0), (0, 0)])


def draw(rows: int, seed: int) -> Clicks:
    """Histories of 0 to 30 clicks, a row each; users click items of one half of the first dimension."""
    rng = np.random.default_rng(seed)
    side = EMBEDDING[1:, 0] > 0
    halves = [1 + np.flatnonzero(side), 1 + np.flatnonzero(~side)]
    user, lengths = rng.integers(0, 2, rows), rng.integers(0, 31, rows)
    label = rng.random(rows) < 0.3
    item = np.array([rng.choice(halves[half ^ (not clicked)]) for half, clicked in zip(user, label, strict=True)])
    history = [rng.choice(halves[half], length) for half, length in zip(user, lengths, strict=True)]
    return Clicks(
        history_user=np.arange(rows),
        history_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        history_items=np.concatenate(history).astype(np.int32),
        history=np.arange(rows),
        item=item,
        likes_level=LEVELS[item, 0],
        views_level=LEVELS[item, 1],
        row_id=np.arange(rows),
        label=label.astype(np.int8),
    )


@pytest.fixture(scope="module")
def clicks() -> tuple[Clicks, Clicks]:
    return draw(2000, 1), draw(1000, 2)


@pytest.fixture(params=MODEL_PARAMS)
def name(request) -> str:
    return request.param


def params_of(name: str, device: str = "cuda", dropout: bool = True, **settings) -> CtrParams:
    model = {"name": name, **({"compare": False} if name == "evidence" else {})}
    if not dropout:
        model |= {key: 0.0 for key in MODEL_PARAMS[name].model_fields if key.endswith("dropout")}
    return CtrParams(**{"model": model, "device": device, "epochs": 2, "batch_size": 128, "threads": 1} | settings)


def trained(params: CtrParams, clicks):
    return train(*clicks, TAGS, EMBEDDING, params)


def test_what_was_trained_on_the_cpu_predicts_the_same_on_cuda(name, clicks):
    model, _ = trained(params_of(name, "cpu"), clicks)
    on_cpu = predict(model, clicks[1], TAGS, EMBEDDING)
    model.settings["ctr"]["device"] = "cuda"
    np.testing.assert_allclose(predict(model, clicks[1], TAGS, EMBEDDING), on_cpu, rtol=0, atol=1e-5)


def losses(name: str, clicks, device: str = "cuda", compile: bool = False) -> list[float]:
    """Of an epoch of small steps: rounding grows with every step, and the faster the larger they are."""
    params = params_of(name, device, dropout=False, learning_rate=1e-5, compile=compile)
    with reproducible(params) as where:
        model = build_model(params, TAGS, EMBEDDING).to(where).train()
        steps = Steps(model, params)
        return [
            steps.take([make_batch(clicks[0], rows, where, params.max_history)])
            for _, rows in batches_after(0, len(clicks[0]), params.batch_size, params.seed, 1)
        ]


def test_the_loss_falls_as_on_the_cpu(name, clicks, monkeypatch):
    monkeypatch.setattr("mmctr_kedro.models.din.ATTENTION_DROPOUT", 0.0)
    np.testing.assert_allclose(losses(name, clicks), losses(name, clicks, "cpu"), rtol=0, atol=1e-4)


def test_compiled_it_falls_the_same(clicks, monkeypatch):
    monkeypatch.setattr("mmctr_kedro.models.din.ATTENTION_DROPOUT", 0.0)
    np.testing.assert_allclose(losses("din", clicks, compile=True), losses("din", clicks), rtol=0, atol=1e-4)


@pytest.mark.parametrize("update", ["dense", "lazy"])
def test_two_trainings_end_with_the_same_bytes(name, update, clicks):
    first, second = (trained(params_of(name, embedding_update=update), clicks)[0] for _ in range(2))
    assert all(np.array_equal(value, second.weights[key]) for key, value in first.weights.items())


def test_bf16_learns_what_fp32_learns(name, clicks):
    fp32, bf16 = (
        auc(clicks[1].label, predict(model, clicks[1], TAGS, EMBEDDING))
        for precision in ("fp32", "bf16")
        for model, _ in [trained(params_of(name, precision=precision, epochs=6, learning_rate=0.003), clicks)]
    )
    assert bf16 == pytest.approx(fp32, abs=0.02)


def test_the_scorer_gives_on_cuda_what_it_gives_on_the_cpu(name, clicks):
    model, _ = trained(params_of(name, "cpu"), clicks)
    content = pd.DataFrame(
        {"item_id": np.arange(1, ITEMS + 1), "likes_level": LEVELS[1:, 0], "views_level": LEVELS[1:, 1]}
    )
    model, _ = leave_out_the_leak(model, content, *clicks, TAGS, EMBEDDING)
    history = clicks[1].history_items[: clicks[1].history_offsets[1]]
    scores = {}
    for device in ("cpu", "cuda"):
        settings = model.settings | {"ctr": model.settings["ctr"] | {"device": device}}
        scorer = Scorer(dataclasses.replace(model, settings=settings), TAGS, EMBEDDING, LEVELS)
        ids, pctr = scorer.rank([history], k=ITEMS)
        scores[device] = pctr[0, np.argsort(ids[0])]
    np.testing.assert_allclose(scores["cuda"], scores["cpu"], rtol=0, atol=1e-5)
