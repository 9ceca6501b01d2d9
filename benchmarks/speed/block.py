"""One block of the speed benchmark: one thing, measured in a process of its own.

    python -m benchmarks.speed.block '{"kind": "ours", ...}' result.json

A block does ``warmup`` batches unmeasured and then ``steps`` measured ones; a batch's time includes its
loading. Memory is the process's peak, and that peak less what the imports alone take.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Block:
    """What to measure."""

    kind: str  # a key of KINDS
    name: str  # unique in a run
    data: str  # folder of a world; "" for matmul
    threads: int
    model: str = "din"
    precision: str = "fp32"
    device: str = "cpu"
    compile: bool = False
    workers: int = 0  # of the reference's loader
    batch: int = 8192
    warmup: int = 1
    steps: int = 3
    predict: bool = True
    seed: int = 20242025
    epochs: int = 0  # of kind "auc"
    how: str = ""  # of kind "extraction": loop, library or ours; of kind "serving": padded or ours
    items: int = 0  # of kind "growth"
    processes: int = 1  # of kind "ours", with ``threads`` each


def run(block: Block) -> dict[str, Any]:
    """Measure a block in this process; its result as JSON can hold it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(block.threads)
    try:
        return {**asdict(block), **KINDS[block.kind](block)}
    finally:
        torch.set_num_threads(before)


# --- kinds -----------------------------------------------------------------------------------------------


def _ours(block: Block) -> dict[str, Any]:
    """Our model through the project's own training step, batches from memory-mapped clicks; memory of one process."""
    import numpy as np
    import torch.distributed as dist

    from benchmarks.speed import worlds
    from mmctr_kedro.common import ranks
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.models import build_model
    from mmctr_kedro.training.batches import batches_after, make_batch
    from mmctr_kedro.training.loop import predict
    from mmctr_kedro.training.steps import Steps

    if block.processes > 1 and not dist.is_initialized():
        from mmctr_kedro.training.launch import launch

        return launch(partial(_ours, block), parameters(block, processes=block.processes))
    imports = memory()
    tables, params = worlds.load(Path(block.data)), parameters(block)
    sizes: list[tuple[int, int, int]] = []

    def train() -> Iterator[int]:
        model.train()
        for _, rows in batches_after(0, len(tables.train), block.batch, block.seed, 1_000_000):
            batch = make_batch(tables.train, rows, device, params.max_history, ranks.share(len(rows)))
            steps.take([batch])
            sizes.append((len(rows), len(batch.history), len(batch.items)))
            yield len(rows)

    def predictions() -> Iterator[int]:
        for start in range(0, len(tables.train), block.batch):
            some = worlds.some_rows(tables.train, start, start + block.batch)
            predict(model, some, params)
            yield len(some)

    with reproducible(params) as device:
        model = build_model(params, tables.item_tags, tables.item_embedding).to(device)
        steps = Steps(model, params)
        result = _measure(block, train(), predictions(), imports)
    mean = np.mean(sizes[block.warmup :], axis=0).tolist()
    return result | {"rows_positions_items": mean, "parameters": sum(p.numel() for p in model.parameters())}


def _reference(block: Block) -> dict[str, Any]:
    """The padded model, fed the organisers' way: DIN of FuxiCTR's layers, the winners as published."""
    import torch

    from benchmarks.speed.reference import FuxictrDin, Reference, loaders
    from mmctr_kedro.data.challenge import RawFolder

    imports = memory()
    torch.manual_seed(block.seed)
    raw, params = RawFolder(Path(block.data)), parameters(block)
    shuffled, in_order = loaders(raw.file("train"), raw.file("item_info"), block.batch, block.workers)
    items, tags = shuffled.collate_fn.items, 1 + max(map(max, shuffled.collate_fn.items["item_tags"]))
    if block.model == "din":
        model = FuxictrDin(len(items), tags, params.model.net_dropout)
        reference = Reference(model.to(block.device), model.tables(), params)
    else:
        reference = _padded(block, params)
    result = _measure(block, reference.train(shuffled), reference.predict(in_order), imports)
    return result | {"parameters": sum(p.numel() for p in reference.model.parameters())}


def _padded(block: Block, params: Any) -> Any:
    from benchmarks.padded import PADDED
    from benchmarks.speed import worlds
    from benchmarks.speed.reference import Reference
    from mmctr_kedro.models import build_model

    tables = worlds.load(Path(block.data))
    model = PADDED[block.model](build_model(params, tables.item_tags, tables.item_embedding)).to(block.device)
    return Reference(model, list(model.items.parameters()), params)


def _matmul(block: Block) -> dict[str, Any]:
    """The machine's own rate of multiply-adds in matrix products, in GFLOP/s: the best of many."""
    import torch

    rates = {}
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        best = float("inf")
        for rows, inner, columns in ((2048, 2048, 2048), (8192, 1024, 1024)):
            left, right = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
            for _ in range(2 + 3 * block.steps):
                began = time.perf_counter()
                torch.mm(left, right)
                best = min(best, (time.perf_counter() - began) / (2 * rows * inner * columns))
        rates[precision] = 1e-9 / best
    return {"gflops": rates}


def _auc(block: Block) -> dict[str, Any]:
    """Valid AUC of a short training, and of its weights predicting in fp32 and in bf16."""
    from benchmarks.speed import worlds
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.evaluation.metrics import auc
    from mmctr_kedro.models import build_model
    from mmctr_kedro.training.loop import fit, predict

    tables = worlds.load(Path(block.data))
    # The rates at which conf/base trains on a small world.
    tuned = {"learning_rate": 0.003, "embedding_regularizer": 1e-4, "epochs": block.epochs, "patience": block.epochs}
    params = parameters(block, **tuned)
    with reproducible(params) as device:
        model = build_model(params, tables.item_tags, tables.item_embedding)
        fit(model, tables.train, tables.valid, params, device, name=block.name)
        aucs = {
            precision: auc(
                tables.valid.label, predict(model, tables.valid, params.model_copy(update={"precision": precision}))
            )
            for precision in ("fp32", "bf16")
        }
    return {"auc": aucs[block.precision], "auc_predicting_in": aucs}


def _profile(block: Block) -> dict[str, Any]:
    """Where a training step of ours spends its time: operations by their own CPU time, over ``steps`` steps."""
    import torch

    from benchmarks.speed import worlds
    from mmctr_kedro.common.machine import reproducible
    from mmctr_kedro.models import build_model
    from mmctr_kedro.training.batches import batches_after, make_batch
    from mmctr_kedro.training.steps import Steps

    tables, params = worlds.load(Path(block.data)), parameters(block)
    batches = batches_after(0, len(tables.train), block.batch, block.seed, 1_000_000)
    with reproducible(params) as device:
        model = build_model(params, tables.item_tags, tables.item_embedding).train()
        steps = Steps(model, params)

        def step() -> None:
            steps.take([make_batch(tables.train, next(batches)[1], device, params.max_history)])

        for _ in range(block.warmup):
            step()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            for _ in range(block.steps):
                step()
    events = sorted(profile.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    top = [[event.key, event.count // block.steps, event.self_cpu_time_total / total] for event in events[:12]]
    return {"operations": top, "seconds_per_step": total / 1e6 / block.steps}


def _extraction(block: Block) -> dict[str, Any]:
    """Items a second through an encoder."""
    from benchmarks.speed import extraction

    return {**extraction.rate(block), **memory()}


def _growth(block: Block) -> dict[str, Any]:
    """Memory of the extraction of many items."""
    from benchmarks.speed import extraction

    return extraction.growth(block)


def _serving(block: Block) -> dict[str, Any]:
    """The service on loopback, under load."""
    from benchmarks.speed import serving

    return serving.under_load(block)


KINDS = {
    "serving": _serving,
    "extraction": _extraction,
    "growth": _growth,
    "ours": _ours,
    "reference": _reference,
    "matmul": _matmul,
    "auc": _auc,
    "profile": _profile,
}


# --- helpers ---------------------------------------------------------------------------------------------


def parameters(block: Block, **values: Any) -> Any:
    """What a block's model is trained with."""
    from mmctr_kedro.models.settings import CtrParams

    controls = {"seed": block.seed, "device": block.device, "threads": block.threads, "precision": block.precision}
    settings = {"model": {"name": block.model}, "batch_size": block.batch, "compile": block.compile}
    return CtrParams(**controls, **settings, **values)


def _measure(block: Block, train: Iterator[int], predictions: Iterator[int], imports: dict[str, float]) -> dict:
    result: dict[str, Any] = {"imports_gb": imports["peak_gb"]}
    started = time.perf_counter()
    anonymous = 0.0
    times: list[float] = []
    rows = 0
    for step in range(block.warmup + block.steps):
        began = time.perf_counter()
        done = next(train)
        if step == 0:
            result["first_step_seconds"] = time.perf_counter() - began  # compiling, where that is asked for
        if step >= block.warmup:
            times.append(time.perf_counter() - began)
            rows += done
        anonymous = max(anonymous, memory()["anonymous_gb"])
        if step + 1 == block.warmup + min(20, block.steps):
            result["early_peak_gb"] = memory()["peak_gb"]
            result["early_anonymous_gb"] = anonymous
        _say(block, step, block.warmup + block.steps, started)
    result |= {"train_rows_per_second": rows / sum(times), "train_seconds": times, **memory()}
    result["largest_anonymous_gb"] = anonymous
    if block.device == "cuda":
        result |= gpu_memory()
    if block.predict:
        for _ in range(block.warmup):
            next(predictions)
        began = time.perf_counter()
        predicted = sum(next(predictions) for _ in range(block.steps))
        result["predict_rows_per_second"] = predicted / (time.perf_counter() - began)
    return result


def _say(block: Block, step: int, steps: int, started: float) -> None:
    """A line every ten seconds or so would be too much for 200 quick steps and too little for slow ones."""
    if (step + 1) % max(1, steps // 4) == 0:
        seconds = time.perf_counter() - started
        print(f"  {block.name}: step {step + 1} of {steps}, {seconds:.0f} s", file=sys.stderr, flush=True)


def memory() -> dict[str, float]:
    """Peak resident memory of this process, and what it holds now apart from mapped files; GB (10^9 bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    status = Path("/proc/self/status")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines()) if status.exists() else {}
    anonymous = int(lines["RssAnon"].split()[0]) * 1024 if "RssAnon" in lines else float("nan")
    if "VmHWM" in lines:  # ru_maxrss of a child starts at its parent's
        peak = int(lines["VmHWM"].split()[0]) * 1024
    return {"peak_gb": peak / 1e9, "anonymous_gb": anonymous / 1e9}


def gpu_memory() -> dict[str, Any]:
    """The GPU, and the most of its memory that this process's tensors took, GB."""
    import torch

    return {"gpu": torch.cuda.get_device_name(), "gpu_gb": torch.cuda.max_memory_allocated() / 1e9}


if __name__ == "__main__":
    result = run(Block(**json.loads(sys.argv[1])))
    Path(sys.argv[2]).write_text(json.dumps(result))
