"""The service under load, on loopback: ours, and the padded networks behind the same application.

    python -m benchmarks.speed.serving '{"model": "din", ...}'     # the server of a block, on any free port

The load is open: requests come at the times of a Poisson process whether others are answered or not, and a latency
counts from the time a request was due, so that no stall hides those behind it. Histories are the world's; candidates
any of its items. Weights are untrained, as time does not depend on them.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.block import Block

COUNTS = (1, 100, 1000)  # candidates
LEAST = 10  # requests that a latency is taken from
PATIENCE = 120.0  # seconds for a request: nothing is given up here


def under_load(block: Block) -> dict[str, Any]:
    """Latency and throughput of one server, for each number of candidates; ``steps`` seconds for each figure."""
    command = [sys.executable, "-m", "benchmarks.speed.serving", json.dumps(asdict(block))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            return {"load": asyncio.run(_load(block, port))}
        finally:
            server.terminate()


async def _load(block: Block, port: int) -> list[dict[str, Any]]:
    import aiohttp

    from benchmarks.speed import worlds

    clicks, rng = worlds.load(Path(block.data)).train, np.random.default_rng(block.seed)
    items = int(clicks.item.max())

    def bodies(candidates: int, longest: bool) -> Iterator[bytes]:
        while True:
            at = clicks.history[rng.integers(len(clicks))]
            history = clicks.history_items[clicks.history_offsets[at] : clicks.history_offsets[at + 1]]
            history = rng.integers(1, items + 1, 64) if longest else history
            request = {"history": history.tolist(), "candidates": rng.integers(1, items + 1, candidates).tolist()}
            yield json.dumps(request).encode()

    figures = []
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body: bytes) -> float:
            async with session.post("/score", data=body, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status == 200, await answer.text()
                return (await answer.json())["seconds"]

        for candidates, longest in [*((count, False) for count in COUNTS), (COUNTS[-1], True)]:
            some = bodies(candidates, longest)
            await ask(next(some))
            rate = await _throughput(ask, some, block.steps)
            asked = min(20.0, rate / 2)
            latency, inside = await _latencies(ask, some, asked, block.steps, rng)
            p50, p95, p99 = (1000 * np.percentile(latency, [50, 95, 99])).tolist()
            figures.append(
                {"candidates": candidates, "clicks": 64 if longest else None, "requests_per_second": rate}
                | {"asked_per_second": asked, "requests": len(latency), "p50": p50, "p95": p95, "p99": p99}
                | {"inside_p50": float(1000 * np.median(inside))}
            )
    return figures


async def _throughput(ask: Callable[[bytes], Awaitable[float]], bodies: Iterator[bytes], seconds: float) -> float:
    """Answers a second where four clients always wait for one."""
    began, done = time.perf_counter(), 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            await ask(next(bodies))
            done += 1

    await asyncio.gather(*(client() for _ in range(4)))
    return done / (time.perf_counter() - began)


async def _latencies(
    ask: Callable[[bytes], Awaitable[float]], bodies: Iterator[bytes], rate: float, seconds: float, rng: Any
) -> tuple[list[float], list[float]]:
    """Seconds from when each request was due to its answer, and what the service says it took."""
    due = np.cumsum(rng.exponential(1 / rate, max(LEAST, round(rate * seconds))))
    sent, latencies, inside = [next(bodies) for _ in due], [], []
    began = time.perf_counter()

    async def one(at: float, body: bytes) -> None:
        await asyncio.sleep(began + at - time.perf_counter())
        inside.append(await ask(body))
        latencies.append(time.perf_counter() - began - at)

    await asyncio.gather(*(one(at, body) for at, body in zip(due, sent, strict=True)))
    return latencies, inside


# --- the server ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fixed:
    """A model that is never swapped."""

    now: Any

    def refresh(self) -> None:
        return None


def serve(block: Block) -> None:
    """Serve a block's model, and print the port."""
    import uvicorn

    from benchmarks.speed import worlds
    from benchmarks.speed.block import parameters
    from mmctr_kedro.models import TrainedModel, build_model
    from mmctr_kedro.scoring.scorer import Scorer
    from mmctr_kedro.serving.app import create_app
    from mmctr_kedro.serving.live_model import Served
    from mmctr_kedro.serving.settings import ServeParams

    tables, ctr = worlds.load(Path(block.data)), parameters(block)
    ctr = ctr.model_copy(update={"model": ctr.model.without_leak() or ctr.model})
    network = build_model(ctr, tables.item_tags, tables.item_embedding)
    sizes = {"items": len(tables.item_tags), "tags": int(tables.item_tags.max()) + 1}
    settings = {"ctr": ctr.model_dump(mode="json"), "leak_free": "untrained", "embedding_width": 128, **sizes}
    model = TrainedModel(settings, {name: value.numpy() for name, value in network.state_dict().items()})
    levels = np.random.default_rng(0).integers(1, 11, (len(tables.item_tags), 2), dtype=np.int8)
    scorer = Scorer(model, tables.item_tags, tables.item_embedding, levels)
    if block.how == "padded":
        scorer = _padded(scorer, block, tables, sizes["tags"])
    scorer.score_candidates([1], [1])
    params = ServeParams(seconds=PATIENCE, waiting=1_000_000)
    app = create_app(params, Fixed(Served(scorer, block.model, datetime.now(UTC))))  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))

    async def run() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        print(server.servers[0].sockets[0].getsockname()[1], flush=True)
        await serving

    asyncio.run(run())


def _padded(ours: Any, block: Block, tables: Any, tags: int) -> Any:
    """The same scorer with a padded network: the organisers' DIN, or a winner as published."""
    import torch

    from benchmarks.padded import PADDED, padded_rows
    from benchmarks.speed.reference import FuxictrDin
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.scoring.scorer import Scorer
    from mmctr_kedro.training.batches import make_batch

    if block.model in PADDED:
        network = PADDED[block.model](ours.network).eval()
    else:
        network = FuxictrDin(len(tables.item_tags), tags, 0.1).eval()
    item_tags, item_embedding = torch.from_numpy(tables.item_tags), torch.from_numpy(tables.item_embedding)

    class Padded(Scorer):
        def _after(self, clicked: np.ndarray, candidates: np.ndarray, until: float = 0.0) -> np.ndarray:
            count = len(candidates)
            rows = self._rows(np.array([0, len(clicked)]), clicked, candidates, np.zeros(count, np.int64))
            with reproducible(self.params), torch.inference_mode():
                batch = make_batch(rows, np.arange(count), max_history=self.params.max_history)
                return network(padded_rows(batch, item_tags, item_embedding)).sigmoid().numpy()

    ours.__class__ = Padded
    return ours


if __name__ == "__main__":
    serve(Block(**json.loads(sys.argv[1])))
