"""A request is answered as the library answers, within limits, and nothing but a message leaves when it cannot be."""

import threading
import time

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from mmctr_kedro.serving.app import create_app
from mmctr_kedro.serving.settings import ServeParams
from tests.serving.conftest import ITEMS

HISTORY = [3, 14, 15]


def ask(client, **request):
    return client.post("/score", json={"history": HISTORY, "candidates": [9, 2, 9]} | request)


def test_candidates_are_scored_in_the_requests_order_by_the_model_that_is_named(serve, live):
    said = ask(serve()).json()
    assert said["items"] == [9, 2, 9]
    np.testing.assert_array_equal(np.float32(said["pctr"]), live.now.scorer.score_candidates(HISTORY, [9, 2, 9]))
    assert said["model"] == live.now.version
    assert 0 < said["seconds"] < 5


@pytest.mark.parametrize(("candidates", "among"), [("all", None), ([5, 8, 7, 6], [5, 6, 7, 8])])
def test_the_best_are_those_of_the_library(candidates, among, serve, live):
    said = ask(serve(), candidates=candidates, top=3).json()
    (ids,), (pctr,) = live.now.scorer.rank([HISTORY], k=3, among=among)
    assert said["items"] == ids.tolist()
    np.testing.assert_array_equal(np.float32(said["pctr"]), pctr)


def test_all_items_no_candidates_and_no_history_are_fine(serve):
    client = serve()
    assert ask(client, candidates="all").json()["items"] == list(range(1, ITEMS + 1))
    assert ask(client, candidates=[]).json()["pctr"] == []
    assert len(ask(client, history=[]).json()["pctr"]) == 3


def test_every_example_of_the_openapi_page_works(serve):
    client = serve()
    body = client.get("/openapi.json").json()["paths"]["/score"]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["examples"]) == 3
    for example in body["examples"].values():
        assert client.post("/score", json=example["value"]).status_code == 200


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"history": [1, 99]}, "history row 1: 99 is no item; known are 1..30"),
        ({"candidates": [4, 31]}, "candidates row 1: 31 is no item"),
        ({"candidates": [4, 0]}, "candidates.list[constrained-int].1: Input should be greater than or equal to 1"),
        ({"history": [2**70]}, "history.0: "),
        ({"history": ["1"]}, "history.0: Input should be a valid integer"),
        ({"history": [1, 2, 3, 4, 5, 6]}, "history: List should have at most 5 items after validation, not 6"),
        ({"candidates": [1] * 8}, "List should have at most 7 items"),
        ({"candidates": "some"}, "Input should be 'all'"),
        ({"top": 0}, "top: Input should be greater than or equal to 1"),
        ({"levels": [1]}, "levels: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_answered_is_said_with_its_place(request_, said, serve):
    answered = ask(serve(max_clicks=5, max_candidates=7), **request_)
    assert answered.status_code == 422
    assert said in answered.json()["detail"]
    assert len(answered.text) < 500


def test_a_body_that_is_too_long_is_not_read(serve):
    client = serve(max_body=300)
    pieces = (b" " * 100 for _ in range(9))  # of a length that nobody says beforehand
    for body in (b" " * 900, pieces):
        answered = client.post("/score", content=body, headers={"Content-Type": "application/json"})
        assert answered.status_code == 413
        assert "Content Too Large" in answered.text


def test_what_is_no_json_is_a_message(serve):
    answered = serve().post("/score", content=b"{", headers={"Content-Type": "application/json"})
    assert answered.status_code == 422
    assert "JSON" in answered.json()["detail"]


def replace_scoring(monkeypatch, live, score):
    monkeypatch.setattr(live.now.scorer, "score_candidates", score)


def test_a_mistake_of_ours_lets_no_trace_out(serve, live, monkeypatch):
    def score(*_):
        raise RuntimeError("secret of the house")

    replace_scoring(monkeypatch, live, score)
    client = serve()
    answered = ask(client)
    assert (answered.status_code, answered.json()) == (500, {"detail": "Our mistake; the service's log says more."})
    assert 'mmctr_request_seconds_count{path="/score",status="500"} 1.0' in client.get("/metrics").text


def test_what_takes_too_long_is_given_up_on_both_sides(serve, live):
    client = serve(seconds=0.05)
    took = threading.Event()

    def score(history, items, until):
        time.sleep(0.1)
        took.set()
        assert time.monotonic() > until  # where the library looks, and ends
        raise TimeoutError

    live.now.scorer.score_candidates = score
    answered = ask(client)
    assert answered.status_code == 503
    assert "Not answered within 0.05 s" in answered.json()["detail"]
    assert took.wait(5)


def test_more_requests_than_may_wait_are_refused_at_once_and_the_rest_goes_on(serve, live, monkeypatch):
    client, go, inside = serve(waiting=1), threading.Event(), threading.Event()
    score = live.now.scorer.score_candidates

    def slow(*given):
        inside.set()
        go.wait(5)
        return score(*given)

    replace_scoring(monkeypatch, live, slow)
    answers = []
    first = threading.Thread(target=lambda: answers.append(ask(client).status_code))
    first.start()
    assert inside.wait(5)
    refused = ask(client)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert client.get("/health").json() == {"status": "ok"}
    go.set()
    first.join()
    assert answers == [200]
    assert ask(client).status_code == 200


def test_an_operator_sees_who_answers_and_how_fast(serve, live):
    client = serve()
    ask(client)
    ask(client, candidates="all", top=1)
    ask(client, history=[99])
    ready = client.get("/ready").json()
    assert (ready["model"], ready["name"], ready["items"]) == (live.now.version, "din", ITEMS)
    metrics = client.get("/metrics").text
    for line in (
        'mmctr_request_seconds_count{path="/score",status="200"} 2.0',
        'mmctr_request_seconds_count{path="/score",status="422"} 1.0',
        f"mmctr_candidates_total {3.0 + ITEMS}",
        f'mmctr_model_info{{name="din",task="task2",version="{live.now.version}"}} 1.0',
        "mmctr_waiting 0.0",
    ):
        assert line in metrics


def test_schemathesis_finds_nothing(live):
    """Requests that the OpenAPI page allows and others it does not, by a tool that knows no more than that page."""
    app = create_app(ServeParams(), live)
    expected = {
        "positive_data_acceptance": {"expected-statuses": ["2xx", 422]},  # 422: ids that are no item's
        "negative_data_rejection": {"expected-statuses": ["4xx"]},  # 413 too
    }
    config = SchemathesisConfig.from_dict({"checks": expected})
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)

    operations = [found.ok() for found in schema.get_all_operations()]
    assert {operation.label for operation in operations} == {"POST /score", "GET /health", "GET /ready", "GET /metrics"}
    for operation in operations:
        for mode in GenerationMode if operation.method == "post" else [GenerationMode.POSITIVE]:
            check(operation, mode)


def check(operation, mode):
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def each(case):
        case.call_and_validate()

    each()
