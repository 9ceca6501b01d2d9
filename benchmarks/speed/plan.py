"""What ``make bench`` measures: sizes, sections, and the blocks of each in the order they run in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.speed.block import Block
from mmctr_kedro.models.settings import CtrParams
from mmctr_kedro.worlds.settings import WorldParams


@dataclass(frozen=True)
class Size:
    """How much is measured. Items, rows, batch and lengths of histories are the challenge's."""

    items: int = 91_717
    rows: int = 200_000
    many_rows: int = 3_600_000
    batch: int = 8192
    rounds: int = 2
    long_steps: int = 200
    auc_items: int = 1_200
    auc_rows: int = 24_000
    auc_valid_rows: int = 20_000
    auc_epochs: int = 3
    auc_batch: int = 1024
    auc_seeds: int = 3
    pictures: int = 600
    growth_items: tuple[int, ...] = (1_000, 10_000, 91_717)
    load_seconds: int = 20


FULL = Size()
TINY = Size(
    items=300,
    rows=1_000,
    many_rows=2_000,
    batch=64,
    rounds=1,
    long_steps=4,
    auc_items=100,
    auc_rows=400,
    auc_valid_rows=200,
    auc_epochs=1,
    auc_batch=128,
    auc_seeds=1,
    pictures=40,
    growth_items=(50, 100),
    load_seconds=1,
)


def worlds(size: Size) -> dict[str, WorldParams]:
    """The data by folder name. ``few`` and ``many`` have the same items and law; only the rows differ."""
    big = {"items": size.items, "valid_rows": 8, "test_rows": 8, "covers": False, "appeal_exponent": 1.0}
    small = {"items": size.auc_items, "valid_rows": size.auc_valid_rows, "test_rows": 8, "covers": False}
    return {
        "few": WorldParams(train_rows=size.rows, **big),
        "many": WorldParams(train_rows=size.many_rows, **big),
        "pictures": WorldParams(items=size.pictures, train_rows=400, valid_rows=8, test_rows=8),
        "small": WorldParams(train_rows=size.auc_rows, **small),
    }


def din(size: Size, threads: int) -> list[Block]:
    """The fixed DIN against FuxiCTR's layers, A B C A B C; each A with another number of loader workers."""
    blocks = []
    for turn in range(size.rounds):
        common = {"data": "few", "threads": threads, "batch": size.batch}
        blocks += [
            Block(kind="reference", name=f"din reference, {turn} workers", workers=turn, **common),
            Block(kind="ours", name=f"din ours fp32, round {turn + 1}", **common),
            Block(kind="ours", name=f"din ours bf16, round {turn + 1}", precision="bf16", **common),
            Block(kind="matmul", name=f"matrix products, round {turn + 1}", data="", threads=threads),
        ]
    return blocks


def profile(size: Size, threads: int) -> list[Block]:
    """Where a step of the fixed DIN spends its time."""
    common = {"kind": "profile", "data": "few", "threads": threads, "batch": size.batch, "predict": False}
    return [Block(name=f"profile din {precision}", precision=precision, **common) for precision in ("fp32", "bf16")]


def padded(size: Size, threads: int) -> list[Block]:
    """The published winners against their padded forms, each at its own batch size."""
    blocks = []
    for model in ("qin", "transformer_dcn"):
        batch = min(size.batch, CtrParams(model={"name": model}).batch_size)
        steps = max(3, size.batch // (8 * batch))  # small batches are over before they can be timed
        common = {"model": model, "data": "few", "threads": threads, "batch": batch, "steps": steps}
        blocks += [
            Block(kind="reference", name=f"{model} padded", **common),
            Block(kind="ours", name=f"{model} ours fp32", **common),
            Block(kind="ours", name=f"{model} ours bf16", precision="bf16", **common),
        ]
    return blocks


def rows(size: Size, threads: int) -> list[Block]:
    """The same step on few and on many rows, in turn; then many steps on many rows."""
    common = {"kind": "ours", "threads": threads, "batch": size.batch, "predict": False}
    pairs = [
        Block(name=f"{data} rows, round {turn}", data=data, **common) for turn in (1, 2) for data in ("few", "many")
    ]
    return [*pairs, Block(name="many steps", data="many", precision="bf16", **common | {"steps": size.long_steps})]


def auc(size: Size, threads: int) -> list[Block]:
    """The same training in fp32, in bf16, and in fp32 with other rounding: one thread adds in another order."""
    blocks = []
    for seed in range(1, size.auc_seeds + 1):
        common = {"kind": "auc", "data": "small", "batch": size.auc_batch, "epochs": size.auc_epochs, "seed": seed}
        blocks += [
            Block(name=f"auc fp32, seed {seed}", threads=threads, **common),
            Block(name=f"auc bf16, seed {seed}", threads=threads, precision="bf16", **common),
            Block(name=f"auc fp32 one thread, seed {seed}", threads=1, **common),
        ]
    return blocks


def compiled(size: Size, threads: int) -> list[Block]:
    """torch.compile against eager. Two steps of warm-up: the second sees other shapes."""
    blocks = []
    for model in ("din", "qin"):
        common = {"kind": "ours", "model": model, "data": "few", "threads": threads, "batch": size.batch, "warmup": 2}
        for name, on in (("eager", False), ("compiled", True)):
            blocks.append(Block(name=f"{model} {name}", compile=on, predict=False, **common))
    return blocks


def devices(size: Size, threads: int) -> list[Block]:
    """The same batches on one process and on several of one thread each; all threads in one process beside it."""
    blocks = []
    for model, batch in (("din", size.batch), ("evidence", 2 * size.batch)):
        common = {"kind": "ours", "model": model, "data": "few", "batch": batch, "predict": False, "steps": 6}
        for processes, each in ((1, 1), (1, threads), (threads, 1)):
            name = f"{model}, processes {processes}, threads {each}"
            blocks.append(Block(name=name, processes=processes, threads=each, **common))
    return blocks


def extraction(size: Size, threads: int) -> list[Block]:
    """Titles and covers: a plain loop, the library's own ``encode``, and ours; then ever more items for memory."""
    sides = [("minilm", ("loop", "library", "ours")), ("efficientnet", ("loop", "ours"))]
    sides += [("clip", ("loop", "library", "ours"))]
    common = {"data": "pictures", "threads": threads}
    rates = [
        Block(kind="extraction", name=f"{model} {how}", model=model, how=how, **common)
        for model, hows in sides
        for how in hows
    ]
    return rates + [
        Block(kind="growth", name=f"{items:,} covers", items=items, **common) for items in size.growth_items
    ]


def gpu(size: Size, threads: int) -> list[Block]:
    """Every model on CUDA in fp32 and bf16, the padded forms beside them, and AUC of the fixed DIN in both."""
    common = {"device": "cuda", "data": "few", "threads": threads, "batch": size.batch, "warmup": 3, "steps": 20}
    blocks = []
    for model in ("din", "qin", "transformer_dcn", "evidence"):
        blocks += [
            Block(kind="ours", name=f"{model} on CUDA, {precision}", model=model, precision=precision, **common)
            for precision in ("fp32", "bf16")
        ]
    for workers in (0, 8):  # the organisers' loader decides: a few steps say it all
        few = common | {"warmup": 1, "steps": 3, "workers": workers}
        blocks.append(Block(kind="reference", name=f"din reference on CUDA, {workers} workers", **few))
    small = {"kind": "auc", "device": "cuda", "data": "small", "batch": size.auc_batch, "epochs": size.auc_epochs}
    for seed in range(1, size.auc_seeds + 1):
        blocks += [
            Block(name=f"auc {precision}, seed {seed}", precision=precision, seed=seed, threads=threads, **small)
            for precision in ("fp32", "bf16")
        ]
    return blocks


def serving(size: Size, threads: int) -> list[Block]:
    """The service with every model, each beside its padded form, in turn."""
    common = {"kind": "serving", "data": "few", "steps": size.load_seconds}
    return [
        Block(
            name=f"serving {model} {how}", model=model, how=how, threads=1 if model == "evidence" else threads, **common
        )
        for model in ("evidence", "din", "qin", "transformer_dcn")
        for how in ("padded", "ours")
        if (model, how) != ("evidence", "padded")  # nobody else has it: the padded DIN stands beside it
    ]


SECTIONS: dict[str, Callable[[Size, int], list[Block]]] = {
    "din": din,
    "profile": profile,
    "padded": padded,
    "rows": rows,
    "auc": auc,
    "compile": compiled,
    "devices": devices,
    "extraction": extraction,
    "gpu": gpu,
    "serving": serving,
}
DEFAULT = [section for section in SECTIONS if section != "gpu"]
