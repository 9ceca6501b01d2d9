"""docs/speed.md and the table on the screen, from the JSON of a run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.speed.arithmetic import din_flops

Result = dict[str, Any]
TIMES_FP32, TIMES_BF16, TIMES_PREDICTION, SHARE_OF_MEMORY, AUC_DIFFERENCE = 12, 20, 15, 1 / 5, 0.001


def markdown(results: dict[str, Any]) -> str:
    """The whole page; sections that were never measured are left out."""
    parts = [
        "# Speed and memory",
        "Written by `make bench` (benchmarks/speed/) from benchmarks/speed.json; do not edit. Every block ran in a"
        " process of its own, one warm-up batch and then the measured ones; a batch's time includes its loading."
        " Samples/s of training cover loading, forward, backward, dense L2, clipping and Adam. GB are 10^9 bytes of"
        " peak resident memory.",
    ]
    if met := goals(results):
        parts.append(_table(["goal", "wanted", "measured", ""], met))
    for name, section in results["sections"].items():
        parts += [*_PAGES[name](section["blocks"]), _about(section)]
    return "\n\n".join(parts) + "\n"


def show(results: dict[str, Any]) -> None:
    """Every block on one line."""
    table = Table("block", "train/s", "predict/s", "peak GB", "others' cores", title="Samples per second")
    for section in results["sections"].values():
        for block in section["blocks"]:
            table.add_row(
                block["name"],
                block.get("failed") or _number(block.get("train_rows_per_second")),
                _number(block.get("predict_rows_per_second")),
                _number(block.get("peak_gb"), 2),
                _number(block.get("cores_used_by_others"), 2),
            )
    console = Console()
    console.print(table)
    if "din" in results["sections"]:
        blocks = results["sections"]["din"]["blocks"]
        console.print(_arithmetic(blocks, _three(blocks)[1]))
    for goal in goals(results):
        console.print(" | ".join(goal))


# --- the fixed DIN ---------------------------------------------------------------------------------------


def _din(blocks: list[Result]) -> list[str]:
    reference, fp32, bf16 = _three(blocks)
    rows = [
        _side("(a) FuxiCTR's layers, padded, the organisers' loader", reference, reference),
        _side("(b) ours, fp32", fp32, reference),
        _side("(c) ours, bf16", bf16, reference),
    ]
    head = ["", "training samples/s", "ratio", "prediction samples/s", "ratio", "peak GB", "share", "less imports, GB"]
    every = [
        [
            block["name"],
            _number(block.get("train_rows_per_second")),
            ", ".join(f"{seconds:.2f}" for seconds in block.get("train_seconds", [])),
            _number(block.get("predict_rows_per_second")),
            _number(block.get("peak_gb"), 2),
            _number(block.get("cores_used_by_others"), 2),
        ]
        for block in blocks
        if block["kind"] != "matmul"
    ]
    columns = ["block", "training samples/s", "seconds per batch", "prediction samples/s", "peak GB", "others' cores"]
    return [
        "## The fixed DIN",
        f"Batch {reference['batch']:,}, the challenge's item count and history lengths (a simulated world). Of (a) the"
        f" best of its blocks counts ({reference['workers']} loader workers, whose memory is not counted); of (b) and"
        " (c) the median block. Ours also lets glibc keep freed memory (training/machine.py), as it does in every run.",
        _table(head, rows),
        _arithmetic(blocks, fp32),
        "<details><summary>Every block</summary>",
        _table(columns, every),
        "</details>",
    ]


def _three(blocks: list[Result]) -> tuple[Result, Result, Result]:
    """The reference's best block, and the median blocks of ours in fp32 and bf16."""
    done = [block for block in blocks if "train_rows_per_second" in block]
    reference = max((b for b in done if b["kind"] == "reference"), key=_rate)
    ours = {precision: [b for b in done if b["kind"] == "ours" and b["precision"] == precision] for precision in _BOTH}
    fp32, bf16 = (sorted(ours[precision], key=_rate)[(len(ours[precision]) - 1) // 2] for precision in _BOTH)
    return reference, fp32, bf16


def _side(title: str, block: Result, reference: Result) -> list[str]:
    train, predict = block["train_rows_per_second"], block["predict_rows_per_second"]
    return [
        title,
        _number(train),
        _times(train / reference["train_rows_per_second"]),
        _number(predict),
        _times(predict / reference["predict_rows_per_second"]),
        _number(block["peak_gb"], 2),
        f"{block['peak_gb'] / reference['peak_gb']:.0%}",
        _number(block["peak_gb"] - block["imports_gb"], 2),
    ]


def _arithmetic(blocks: list[Result], ours: Result) -> str:
    rates = [block["gflops"] for block in blocks if "gflops" in block]
    machine = {precision: max(rate[precision] for rate in rates) for precision in _BOTH}
    rows, positions, items = ours["rows_positions_items"]
    flops = din_flops(rows, positions, items)
    reached = flops * ours["train_rows_per_second"] / rows / 1e9
    return (
        f"A batch has {rows:,.0f} rows, {positions:,.0f} history positions and {items:,.0f} distinct items, and needs"
        f" {flops / 1e9:,.0f} GFLOP (benchmarks/speed/arithmetic.py has the formula): (b) does {reached:,.0f} GFLOP/s,"
        f" {reached / machine['fp32']:.0%} of the {machine['fp32']:,.0f} that this machine's own fp32 matrix product"
        f" reaches on the same threads (bf16: {machine['bf16']:,.0f})."
    )


def goals(results: dict[str, Any]) -> list[list[str]]:
    """Goal, wanted, measured, and whether it is met, one row each; of what was measured."""
    sections, rows = results["sections"], []
    if "din" in sections:
        reference, fp32, bf16 = _three(sections["din"]["blocks"])

        def ratio(ours: Result, key: str) -> float:
            return ours[key] / reference[key]

        measured = [
            ("training in fp32", TIMES_FP32, ratio(fp32, "train_rows_per_second")),
            ("training in bf16", TIMES_BF16, ratio(bf16, "train_rows_per_second")),
            ("prediction in fp32", TIMES_PREDICTION, ratio(fp32, "predict_rows_per_second")),
            ("prediction in bf16", TIMES_PREDICTION, ratio(bf16, "predict_rows_per_second")),
        ]
        rows += [[name, f"at least {wanted} times", _times(got), _met(got >= wanted)] for name, wanted, got in measured]
        share = max(ratio(fp32, "peak_gb"), ratio(bf16, "peak_gb"))
        rows.append(["peak memory", "at most 20 %", f"{share:.0%}", _met(share <= SHARE_OF_MEMORY)])
    if "serving" in sections and not any("failed" in block for block in sections["serving"]["blocks"]):
        load = {(b["model"], b["how"], *_of(f)): f for b in sections["serving"]["blocks"] for f in b["load"]}
        ratio_1000 = load["din", "padded", 1000, None]["p50"] / load["din", "ours", 1000, None]["p50"]
        p99, p50 = load["din", "ours", 100, None]["p99"], load["evidence", "ours", 1000, None]["p50"]
        rows += [
            ["service, din, 1,000 candidates", "at least 8 times", _times(ratio_1000), _met(ratio_1000 >= 8)],
            ["service, din, 100 candidates, p99", "below 25 ms", f"{p99:.1f} ms", _met(p99 < 25)],
            ["service, evidence, 1,000 candidates, p50", "below 5 ms", f"{p50:.1f} ms", _met(p50 < 5)],
        ]
    if "auc" in sections:
        blocks = sections["auc"]["blocks"]
        for what, found in (
            ("AUC of fp32 weights predicting in bf16, worst seed", max(_predicting_differences(blocks), key=abs)),
            ("AUC when trained in bf16, mean over seeds", statistics.mean(_auc_differences(blocks, "bf16"))),
        ):
            rows.append([what, f"within {AUC_DIFFERENCE}", f"{found:+.5f}", _met(abs(found) <= AUC_DIFFERENCE)])
    return rows


# --- the other sections ----------------------------------------------------------------------------------


def _profile(blocks: list[Result]) -> list[str]:
    parts = ["## Where a training step of the fixed DIN spends its time"]
    for block in blocks:
        rows = [[f"`{name}`", str(count), f"{share:.1%}"] for name, count, share in block.get("operations", [])]
        parts += [
            f"In {block['precision']}, {block.get('seconds_per_step', float('nan')):.2f} s a step under the profiler:",
            _table(["operation", "calls a step", "share of the time"], rows),
        ]
    return parts


def _padded(blocks: list[Result]) -> list[str]:
    parts = ["## The published winners", "Against their padded forms (benchmarks/padded.py), at their own batch sizes."]
    head = ["", "training samples/s", "ratio", "prediction samples/s", "ratio", "peak GB", "share", "less imports, GB"]
    for model in dict.fromkeys(block["model"] for block in blocks):
        some = [block for block in blocks if block["model"] == model]
        reference = some[0]
        if "failed" in reference:
            parts.append(f"{model}: the padded form ended with {reference['failed']}.")
            continue
        done = [block for block in some if "failed" not in block]
        names = {block["name"]: f"{block['name']}, batch {block['batch']:,}" for block in done}
        parts.append(_table(head, [_side(names[block["name"]], block, reference) for block in done]))
    return parts


def _rows(blocks: list[Result]) -> list[str]:
    done = [block for block in blocks if "failed" not in block]
    body = [
        [
            block["name"],
            _number(block["train_rows_per_second"]),
            _number(1e6 / block["train_rows_per_second"]),
            _number(block["peak_gb"], 2),
            _number(block["largest_anonymous_gb"], 2),
        ]
        for block in done
    ]
    pairs = [
        statistics.mean(b["train_rows_per_second"] for b in done if b["name"].startswith(data))
        for data in ("few", "many rows")
    ]
    long = next(block for block in done if block["name"] == "many steps")
    return [
        "## More rows",
        "The same step on 200,000 and on 3,600,000 rows of the same items, clicks memory-mapped. Peak memory counts"
        " pages of mapped files that happen to be in memory and that the system takes back when it needs them; what"
        " the process itself holds stands beside it.",
        _table(["", "training samples/s", "microseconds a sample", "peak GB", "without mapped files, GB"], body),
        f"18 times the rows: {pairs[0] / pairs[1] - 1:+.1%} time per sample. {long['steps']} steps in"
        f" {long['precision']} on all rows:"
        f" {long['train_rows_per_second']:,.0f} samples/s, {long['early_anonymous_gb']:.2f} GB without mapped files"
        f" after 20 steps and {long['largest_anonymous_gb']:.2f} GB at most to the end.",
    ]


def _auc(blocks: list[Result]) -> list[str]:
    seeds = sorted({block["seed"] for block in blocks})
    by_name = {block["name"]: block for block in blocks if "auc" in block}
    body = []
    for seed in seeds:
        fp32, bf16, other = (by_name[f"auc {kind}, seed {seed}"] for kind in ("fp32", "bf16", "fp32 one thread"))
        predicted = fp32["auc_predicting_in"]
        body.append(
            [
                str(seed),
                f"{fp32['auc']:.4f}",
                f"{bf16['auc']:.4f}",
                f"{bf16['auc'] - fp32['auc']:+.4f}",
                f"{other['auc'] - fp32['auc']:+.4f}",
                f"{predicted['bf16'] - predicted['fp32']:+.5f}",
            ]
        )
    differences = _auc_differences(blocks, "bf16")
    rounding = _auc_differences(blocks, "fp32 one thread")
    return [
        "## AUC in bf16",
        f"The fixed DIN trained {blocks[0]['epochs']} epochs on a small world, the same seed, order and dropout on"
        " both sides. Trained again in fp32 with one thread, which only rounds otherwise, it differs too: that is the"
        " noise to compare with.",
        _table(
            ["seed", "fp32", "bf16", "bf16 - fp32", "fp32 other rounding - fp32", "fp32 weights predicting in bf16"],
            body,
        ),
        f"bf16 - fp32 over {len(seeds)} seeds: {_spread(differences)}; by rounding alone: {_spread(rounding)}."
        " Valid AUC still rises by hundredths an epoch here, so one seed says little about a thousandth.",
    ]


def _auc_differences(blocks: list[Result], kind: str) -> list[float]:
    """AUC of this training less that of fp32, per seed."""
    by_name = {block["name"]: block["auc"] for block in blocks if "auc" in block}
    seeds = sorted({block["seed"] for block in blocks})
    return [by_name[f"auc {kind}, seed {seed}"] - by_name[f"auc fp32, seed {seed}"] for seed in seeds]


def _predicting_differences(blocks: list[Result]) -> list[float]:
    """Of each seed's fp32 weights: AUC predicting in bf16 less that in fp32."""
    predicted = [block["auc_predicting_in"] for block in blocks if block["name"].startswith("auc fp32, ")]
    return [auc["bf16"] - auc["fp32"] for auc in predicted]


def _compile(blocks: list[Result]) -> list[str]:
    body = [
        [
            block["name"],
            block.get("failed") or _number(block["train_rows_per_second"]),
            _number(block.get("first_step_seconds"), 1),
            _number(block.get("peak_gb"), 2),
        ]
        for block in blocks
    ]
    verdicts = []
    for model in dict.fromkeys(block["model"] for block in blocks):
        eager, fast = (next((b for b in blocks if b["name"] == f"{model} {how}"), {}) for how in ("eager", "compiled"))
        if "train_rows_per_second" in eager and "train_rows_per_second" in fast:
            gain = fast["train_rows_per_second"] / eager["train_rows_per_second"] - 1
            verdicts.append(f"{model} {gain:+.0%}")
        else:
            verdicts.append(f"{model} does not run compiled here")
    return [
        "## torch.compile",
        "Training with `compile: true` against eager, in fp32: " + ", ".join(verdicts) + ". The first step compiles.",
        _table(["", "training samples/s", "first step, s", "peak GB"], body),
    ]


def _devices(blocks: list[Result]) -> list[str]:
    done = [block for block in blocks if "failed" not in block]
    alone = {block["model"]: _rate(block) for block in done if block["processes"] == block["threads"] == 1}
    body = [
        [
            f"{block['model']}, batch {block['batch']:,}",
            str(block["processes"]),
            str(block["threads"]),
            _number(_rate(block)),
            _times(_rate(block) / alone[block["model"]]),
            _number(block["peak_gb"], 2),
        ]
        for block in done
    ]
    return [
        "## More than one process",
        "Processes of this machine share each batch; gradients are added up by gloo over loopback. The batch is the"
        " same in all rows; memory is that of one process, data mapped into it included.",
        _table(["", "processes", "threads each", "training samples/s", "ratio", "peak GB"], body),
    ]


_MODELS = {
    "minilm": "titles, all-MiniLM-L6-v2",
    "efficientnet": "covers, EfficientNet-Lite0",
    "clip": "covers, CLIP ViT-B/32 (random weights)",
}
_HOW = {"loop": "item by item", "library": "`SentenceTransformer.encode`", "ours": "ours"}


def _extraction(blocks: list[Result]) -> list[str]:
    done = [block for block in blocks if "failed" not in block]
    rates = {(b["model"], b["how"]): b["items_per_second"] for b in done if b["kind"] == "extraction"}
    body = []
    for model, title in _MODELS.items():
        loop, library, ours = (rates.get((model, how)) for how in _HOW)
        ratios = [_times(ours / other) if ours and other else "" for other in (loop, library)]
        body.append([title, _number(loop, 1), _number(library, 1), _number(ours, 1), *ratios])
    growth = [
        [
            block["name"],
            _number(block["items_per_second"]),
            _number(block["largest_anonymous_gb"], 2),
            _number(block["peak_gb"], 2),
            _number(block["imports_gb"], 2),
        ]
        for block in done
        if block["kind"] == "growth"
    ]
    return [
        "## Titles and covers",
        f"{done[0]['items']:,} simulated items, one process after another; loading the model is not counted, decoding"
        " and resizing are, and in ours hashing and the store too. EfficientNet item by item runs in eager torch, ours"
        " on ONNX Runtime; sentence-transformers does not load it.",
        _table(["items a second", *_HOW.values(), "ours / item by item", "ours / `encode`"], body),
        "Memory over many covers, through hashing, decoding, shards and collection, with an encoder that does no"
        " arithmetic and gives 1,280 numbers. The vectors themselves lie in a mapped file, whose pages count as"
        " resident until the system takes them back; what the process itself holds stands first.",
        _table(["", "covers/s", "without mapped files, GB", "peak GB", "imports, GB"], growth),
    ]


def _gpu(blocks: list[Result]) -> list[str]:
    reference = max((block for block in blocks if block["kind"] == "reference"), key=_rate)
    body = [
        [
            block["name"],
            _number(block["train_rows_per_second"]),
            _times(block["train_rows_per_second"] / reference["train_rows_per_second"]),
            _number(block["predict_rows_per_second"]),
            _times(block["predict_rows_per_second"] / reference["predict_rows_per_second"]),
            _number(block["gpu_gb"], 2),
            _number(block["peak_gb"], 2),
        ]
        for block in blocks
        if block["kind"] in ("ours", "reference")
    ]
    aucs = {block["name"]: block["auc"] for block in blocks if block["kind"] == "auc"}
    seeds = sorted({block["seed"] for block in blocks if block["kind"] == "auc"})
    head = [
        "",
        "training samples/s",
        "ratio",
        "prediction samples/s",
        "ratio",
        "GPU memory, GB",
        "peak GB of the process",
    ]
    return [
        "## On a GPU",
        f"{reference['gpu']}. Batch {reference['batch']:,} for every model, so that they compare; ratios to the fixed"
        f" DIN of FuxiCTR's layers, fed by the organisers' loader ({reference['workers']} workers).",
        _table(head, body),
        'The fixed DIN trained as under "AUC in bf16", on the GPU:',
        _table(
            ["seed", "fp32", "bf16", "bf16 - fp32"],
            [
                [str(seed), f"{fp32:.4f}", f"{bf16:.4f}", f"{bf16 - fp32:+.4f}"]
                for seed in seeds
                for fp32, bf16 in [(aucs[f"auc fp32, seed {seed}"], aucs[f"auc bf16, seed {seed}"])]
            ],
        ),
    ]


def _serving(blocks: list[Result]) -> list[str]:
    done = [block for block in blocks if "failed" not in block]
    padded = {(b["model"], *_of(figure)): figure for b in done if b["how"] == "padded" for figure in b["load"]}
    rows = []
    for block in done:
        for figure in block["load"]:
            model = "din" if block["model"] == "evidence" else block["model"]
            peer = padded.get((model, *_of(figure)))
            rows.append(
                [block["model"], block["how"], _number(figure["candidates"]), str(figure["clicks"] or "the world's")]
                + [_number(figure[name], 1) for name in ("p50", "p95", "p99", "inside_p50", "asked_per_second")]
                + [str(figure["requests"]), _number(figure["requests_per_second"], 1)]
                + [_times(peer["p50"] / figure["p50"]) if peer and block["how"] == "ours" else ""]
            )
    head = ["model", "", "candidates", "clicks", "p50 ms", "p95 ms", "p99 ms", "p50 inside, ms", "asked/s", "requests"]
    return [
        "## The service",
        "`kedro serve`'s application on loopback with each model, and with the padded networks in its place (FuxiCTR's"
        " layers for `din`, the winners as published, benchmarks/padded.py); the load generator (aiohttp) takes its"
        " share of the same cores. Requests come at random times, 20 a second or half of what can be answered, and"
        " latency counts from when one was due. Answers/s: four clients that always wait. The ratio is of p50;"
        " `evidence` stands beside the padded `din`.",
        _table([*head, "answers/s", "padded / ours"], rows),
    ]


def _of(figure: Result) -> tuple[Any, Any]:
    return figure["candidates"], figure["clicks"]


_BOTH = ("fp32", "bf16")
_PAGES = {
    "din": _din,
    "profile": _profile,
    "padded": _padded,
    "rows": _rows,
    "auc": _auc,
    "compile": _compile,
    "devices": _devices,
    "extraction": _extraction,
    "gpu": _gpu,
    "serving": _serving,
}


# --- words and tables ------------------------------------------------------------------------------------


def _about(section: dict[str, Any]) -> str:
    about, blocks = section["about"], section["blocks"]
    busy = max((block.get("cores_used_by_others", 0.0) for block in blocks), default=0.0)
    dirty = " with uncommitted changes" if about["uncommitted_changes"] else ""
    return (
        f"*{about['date']}, `{about['command']}`, commit {about['commit']}{dirty}; {about['processor']},"
        f" {about['cores']} cores, {about['threads']} threads, flags {' '.join(about['flags']) or 'none of ours'},"
        f" {about['memory_gb']} GB; Python {about['python']}, torch {about['torch']}, numpy {about['numpy']}, fuxictr"
        f" {about['fuxictr']}. Other processes used at most {busy:.2f} cores during a block.*"
    )


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _rate(block: Result) -> float:
    return block["train_rows_per_second"]


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _times(value: float) -> str:
    return f"{value:.1f}"


def _spread(values: list[float]) -> str:
    return f"mean {statistics.mean(values):+.4f}, {min(values):+.4f} to {max(values):+.4f}"


def _met(yes: bool) -> str:
    return "met" if yes else "missed"
