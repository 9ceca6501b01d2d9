"""The service: requests in, pCTR out, and what an operator asks for.

One thread does the arithmetic, with the model's own number of torch threads; the event loop reads and writes. What is
more than ``waiting`` requests is refused at once, what has waited or computed for ``seconds`` is given up.
"""

# Without `from __future__ import annotations`: FastAPI reads those of routes, and the limits in them are settings.

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Body, FastAPI, Request, Response
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.serving.live_model import LiveModel, Served
from mmctr_kedro.serving.settings import ServeParams

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)  # edges of the latency histogram
EXAMPLES: dict[str, Any] = {
    "candidates in their order": {"value": {"history": [3, 1], "candidates": [2, 3, 1]}},
    "the best of all items": {"value": {"history": [3, 1], "candidates": "all", "top": 2}},
    "a user without history": {"value": {"history": [], "candidates": [1, 2]}},
}
ItemId = Annotated[int, Field(ge=1, lt=2**31)]


class Scores(BaseModel):
    """``pctr[i]`` is the probability of a click on ``items[i]``."""

    items: list[int]
    pctr: list[float]
    model: str = Field(description="SHA-256 of the model's file.")
    seconds: float = Field(description="What it took, waiting for the model included.")


class Ready(BaseModel):
    """The model that answers now."""

    task: str
    name: str = Field(description="Kind of model.")
    model: str = Field(description="SHA-256 of its file.")
    items: int = Field(description="The largest item id.")
    since: datetime


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


class Watch:
    """Middleware: every request's time and status into a histogram; 503 for one that takes longer than ``seconds``."""

    def __init__(self, app: ASGIApp, histogram: Histogram, seconds: float) -> None:
        self.app, self.histogram, self.seconds = app, histogram, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            async with asyncio.timeout(self.seconds):
                await self.app(scope, receive, noting)
        except TimeoutError:
            if status:  # an answer that its reader takes too long to read
                raise
            late = JSONResponse({"detail": f"Not answered within {self.seconds:g} s; ask for fewer candidates."}, 503)
            await late(scope, receive, noting)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self.histogram.labels(path, status or 500).observe(time.perf_counter() - began)


def create_app(params: ServeParams, live: LiveModel) -> FastAPI:
    """The service as an ASGI application; ``live`` answers, and is asked for a newer model while it runs."""

    class ScoreRequest(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)

        history: list[ItemId] = Field(max_length=params.max_clicks, description="Clicked items, oldest first.")
        candidates: Annotated[list[ItemId], Field(max_length=params.max_candidates)] | Literal["all"] = Field(
            description='Items to score, or "all" there are.'
        )
        top: ItemId | None = Field(
            None, description="So many of the best, best first. None: all candidates in the request's order."
        )

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    latency = Histogram(
        "mmctr_request_seconds", "Time of requests.", ["path", "status"], buckets=SECONDS, registry=registry
    )
    scored = Counter("mmctr_candidates", "Candidates scored.", registry=registry)
    waiting = Gauge("mmctr_waiting", "Requests at the model or waiting for it.", registry=registry)
    swaps = Counter("mmctr_swaps", "Newer models found, by whether they could be used.", ["used"], registry=registry)
    about = Info("mmctr_model", "The model that answers.", registry=registry)
    worker = ThreadPoolExecutor(1, "model")
    at_model = 0

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def poll() -> None:
            while True:
                await asyncio.sleep(params.poll_seconds)
                if (used := await asyncio.to_thread(live.refresh)) is not None:
                    swaps.labels(used).inc()

        polling = asyncio.create_task(poll())
        yield
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling
        worker.shutdown(cancel_futures=True)

    app = FastAPI(
        title="mmctr_kedro",
        summary="Probabilities of clicks on items, after a user's clicks.",
        version=version("mmctr_kedro"),
        lifespan=lifespan,
        max_body_size=params.max_body,
    )
    app.add_middleware(Watch, histogram=latency, seconds=params.seconds)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        problems = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
        more = f"; {len(problems) - 3} more" if len(problems) > 3 else ""
        return JSONResponse({"detail": "; ".join(problems[:3]) + more}, 422)

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"detail": "Our mistake; the service's log says more."}, 500)

    problems: dict[int | str, dict[str, Any]] = {status: {"model": Problem} for status in (400, 422, 500, 503)}
    problems[413] = {"description": "The body is too long."}

    @app.post("/score", responses=problems)
    async def score(request: Annotated[ScoreRequest, Body(openapi_examples=EXAMPLES)]) -> Scores:
        """pCTR of candidates after a user's clicks. Items have the levels of the item table: a request carries none."""
        nonlocal at_model
        began, served = time.perf_counter(), live.now
        if at_model >= params.waiting:
            raise HTTPException(503, f"{at_model} requests wait for the model. Try again.", {"Retry-After": "1"})

        at_model += 1
        waiting.set(at_model)
        try:
            items, pctr = await asyncio.get_running_loop().run_in_executor(
                worker,
                answer,
                served,
                request.history,
                request.candidates,
                request.top,
                time.monotonic() + params.seconds,
            )
        except MmctrError as error:
            raise HTTPException(422, str(error)) from error
        finally:
            at_model -= 1
            waiting.set(at_model)
        scored.inc(served.scorer.items if request.candidates == "all" else len(request.candidates))
        return Scores(items=items, pctr=pctr, model=served.version, seconds=time.perf_counter() - began)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> Ready:
        """A model answers, and which: it is loaded before the service listens, and kept until a newer one is ready."""
        served = live.now
        return Ready(
            task=params.task,
            name=served.scorer.params.model.name,
            model=served.version,
            items=served.scorer.items,
            since=served.since,
        )

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """For Prometheus."""
        about.info({"task": params.task, "name": live.now.scorer.params.model.name, "version": live.now.version})
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


def answer(
    served: Served, history: list[int], candidates: list[int] | Literal["all"], top: int | None, until: float
) -> tuple[list[int], list[float]]:
    """Items and their pCTR: in the order given, or the ``top`` best, equal ones by id."""
    items = np.arange(1, served.scorer.items + 1) if candidates == "all" else np.array(candidates, np.int64)
    pctr = served.scorer.score_candidates(history, items, until)
    if top is not None:
        best = np.lexsort((items, -pctr))[:top]
        items, pctr = items[best], pctr[best]
    return items.tolist(), pctr.tolist()
