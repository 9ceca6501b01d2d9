"""A newer model takes its place without a failed request; one that cannot be used changes nothing."""

import logging
import threading
import time
from collections import Counter

import httpx2
import pytest
import uvicorn

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.common.seals import check_seal, sealed_write
from mmctr_kedro.models.model_file import load_model, model_bytes
from mmctr_kedro.serving.app import create_app
from mmctr_kedro.serving.live_model import LiveModel, ModelAndItems
from mmctr_kedro.serving.settings import ServeParams
from tests.serving.conftest import EMBEDDING, LEVELS, TAGS


@pytest.fixture
def run(tmp_path, models):
    """A run's model file: what is written to it, and the model that is served from it."""
    file = tmp_path / "leak_free_model.safetensors"

    def write(which: int) -> None:
        with sealed_write(file) as temporary:
            temporary.write_bytes(model_bytes(models[which].model))

    def load() -> ModelAndItems:
        check_seal(file)
        return ModelAndItems(load_model(file), TAGS, EMBEDDING, LEVELS)

    write(0)
    return file, write, LiveModel(load, [file])


def test_a_newer_file_is_taken_once_and_an_unchanged_one_never(run):
    _, write, live = run
    first = live.now
    assert live.refresh() is None
    write(1)
    assert live.refresh() is True
    assert live.now.version != first.version
    assert live.refresh() is None
    write(0)
    assert live.refresh() is True
    assert live.now.version == first.version  # which names the file's bytes


def test_a_broken_or_missing_file_changes_nothing_and_the_log_says_why(run, serve, caplog):
    file, write, live = run
    client, first = serve(live, poll_seconds=0.02), live.now
    for damage in (lambda: file.write_bytes(file.read_bytes()[:-9]), file.unlink):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            damage()
            until(lambda: "is not used" in caplog.text)
        assert live.now is first
        assert client.get("/ready").json()["model"] == first.version
        assert client.post("/score", json={"history": [1], "candidates": [2]}).status_code == 200
    assert "leak_free_model.safetensors" in caplog.text
    assert 'mmctr_swaps_total{used="False"} 2.0' in client.get("/metrics").text
    write(1)
    until(lambda: client.get("/ready").json()["model"] != first.version)


def test_items_that_the_model_was_not_trained_with_are_refused(models):
    given = models[0]
    other = ModelAndItems(given.model, given.item_tags, EMBEDDING + 1, given.item_levels)
    with pytest.raises(MmctrError, match="trained on another item_embedding than the run now holds"):
        LiveModel(lambda: other, [])


@pytest.mark.parametrize("requests", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_request_fails_while_models_are_swapped(run, requests):
    _, write, live = run
    server = uvicorn.Server(uvicorn.Config(create_app(ServeParams(poll_seconds=0.02), live), port=0, log_config=None))
    running = threading.Thread(target=server.run)
    running.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    answers: Counter = Counter()

    def ask() -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            for number in range(requests // 4):
                answered = client.post("/score", json={"history": [number % 30 + 1], "candidates": [1, 2, 3]})
                answers[answered.status_code, answered.json().get("model")] += 1

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    until(lambda: answers.total() > requests // 3)
    first = live.now.version
    write(1)
    for thread in asking:
        thread.join()
    until(lambda: live.now.version != first)
    server.should_exit = True
    running.join()
    assert answers.total() == requests
    assert set(answers) <= {(200, first), (200, live.now.version)}
    assert len(answers) == 2  # both have answered


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)
