"""A service in this process, on a small model that can be trained anew in a moment."""

import numpy as np
import pytest
from fastapi.testclient import TestClient

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.models import TrainedModel
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.serving.app import create_app
from mmctr_kedro.serving.live_model import LiveModel, ModelAndItems
from mmctr_kedro.serving.settings import ServeParams
from mmctr_kedro.training.trained_model import train

ITEMS = 30
rng = np.random.default_rng(7)
TAGS = np.pad(rng.integers(0, 9, (ITEMS, 5), dtype=np.int32), [(1, 0), (0, 0)])
EMBEDDING = np.pad(rng.standard_normal((ITEMS, 16)).astype(np.float32), [(1, 0), (0, 0)])
LEVELS = np.pad(rng.integers(1, 11, (ITEMS, 2), dtype=np.int8), [(1, 0), (0, 0)])


def trained(seed: int) -> ModelAndItems:
    item = np.arange(1, ITEMS + 1)
    clicks = Clicks(
        history_user=np.arange(ITEMS),
        history_offsets=np.arange(ITEMS + 1),
        history_items=item[::-1],
        history=np.arange(ITEMS),
        item=item,
        likes_level=LEVELS[1:, 0],
        views_level=LEVELS[1:, 1],
        row_id=np.arange(ITEMS),
        label=(item % 2).astype(np.int8),
    )
    params = CtrParams(model={"name": "din"}, epochs=1, threads=1, device="cpu", seed=seed)
    model, _ = train(clicks, clicks, TAGS, EMBEDDING, params)
    of_use = model.settings | {"leak_free": "trained on rows that carry their own item's levels"}
    return ModelAndItems(TrainedModel(of_use, model.weights), TAGS, EMBEDDING, LEVELS)


@pytest.fixture(scope="session")
def models() -> list[ModelAndItems]:
    """Two trainings of one model."""
    return [trained(seed) for seed in (1, 2)]


@pytest.fixture
def live(models) -> LiveModel:
    return LiveModel(lambda: models[0], [])


@pytest.fixture
def serve(live):
    """A client of a service with these settings, started and stopped with the test; an exception in it is a 500."""
    clients = []

    def serve_with(live: LiveModel = live, **settings) -> TestClient:
        app = create_app(ServeParams(**settings), live)
        clients.append(TestClient(app, raise_server_exceptions=False).__enter__())
        return clients[-1]

    yield serve_with
    for client in clients:
        client.__exit__(None, None, None)
