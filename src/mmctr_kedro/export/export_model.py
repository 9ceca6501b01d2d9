"""A trained model and its items as files that need nothing of this library, measured as they are written.

B rows, P clicks of the longest history, R rows of a split.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mmctr_kedro.data.clicks import Clicks
from mmctr_kedro.data.jagged import offsets_of, positions
from mmctr_kedro.evaluation.metrics import auc
from mmctr_kedro.export.settings import ExportParams
from mmctr_kedro.scoring.scorer import Scorer

if TYPE_CHECKING:
    from torch.export import ExportedProgram

INPUTS, OUTPUTS = ["histories", "items"], ["pctr"]
MEASURED_AT_ONCE = 1000  # rows


def export_model(scorer: Scorer, params: ExportParams | None = None) -> dict[str, bytes]:
    """Files by name: ``model.onnx`` for onnxruntime, its smaller variants, and ``model.pt2`` for torch.

    Each maps ``histories`` ``[B, P]`` int64, clicks oldest first with zeros on either side, and ``items`` ``[B]``
    int64, the candidates, to ``pctr`` ``[B]`` float32, for any B and P. The items of the scorer and their levels are
    in the file; of a history the newest ``max_history`` clicks count.

    Args:
        scorer: The model on its items; ``add_items`` first what is to be in the files.
        params: Which variants are written.
    """
    import onnx
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    from mmctr_kedro.common.machine import float32

    params = params or ExportParams()
    with _quiet(), torch.no_grad(), float32(), TemporaryDirectory() as folder:
        exact = Path(folder) / "model.onnx"
        graph = _traced(scorer, every_item=True)
        program = torch.onnx.export(graph, input_names=INPUTS, output_names=OUTPUTS, dynamo=True, verbose=False)
        assert program is not None
        program.save(exact, external_data=False)
        torch.export.save(_traced(scorer, every_item=False), traced := BytesIO())
        files = {exact.name: exact.read_bytes(), "model.pt2": traced.getvalue()}
        if "int8" in params.variants:
            quantize_dynamic(exact, small := Path(folder) / "int8.onnx", weight_type=QuantType.QInt8)
            files["model_int8.onnx"] = small.read_bytes()
        if "fp16" in params.variants:
            wide = [*DEFAULT_OP_BLOCK_LIST, "ScatterND"]  # sums over clicks, of which onnxruntime has none in fp16
            half = convert_float_to_float16(onnx.load(exact), keep_io_types=True, op_block_list=wide)
            files["model_fp16.onnx"] = half.SerializeToString()
    return files


def measure(files: dict[str, bytes], scorer: Scorer, clicks: Clicks) -> list[dict[str, Any]]:
    """What each file predicts of labelled rows, beside the scorer, which is the first entry.

    Returns:
        ``file``, ``bytes`` (None of the scorer), ``auc``, ``largest_difference`` from the scorer's pCTR and
        ``rows_per_second``, on one thread, ``MEASURED_AT_ONCE`` rows at a time.
    """
    assert clicks.label is not None
    rows, padded = np.asarray(clicks.item, np.int64), padded_histories(clicks)
    histories = pa.LargeListArray.from_arrays(clicks.history_offsets, clicks.history_items)
    began = time.perf_counter()
    exact = scorer.score(histories, rows, clicks.history)
    seconds = {"": time.perf_counter() - began}
    pctr = {"": exact}
    for name, content in files.items():
        run = runner(name, content)
        run(padded[:1], rows[:1])  # what is prepared at the first call is not measured
        began = time.perf_counter()
        cuts = range(0, len(rows), MEASURED_AT_ONCE)
        parts = [run(padded[at : at + MEASURED_AT_ONCE], rows[at : at + MEASURED_AT_ONCE]) for at in cuts]
        seconds[name], pctr[name] = time.perf_counter() - began, np.concatenate(parts)
    return [
        {
            "file": name,
            "bytes": len(files[name]) if name else None,
            "auc": auc(clicks.label, found),
            "largest_difference": float(np.abs(found - exact).max()),
            "rows_per_second": round(len(rows) / seconds[name]),
        }
        for name, found in pctr.items()
    ]


def runner(name: str, content: bytes) -> Any:
    """The function in a file, on one thread: histories ``[B, P]`` and items ``[B]`` to pCTR ``[B]``, as arrays."""
    if name.endswith(".pt2"):
        import torch

        module = torch.export.load(BytesIO(content)).module()
        return lambda histories, items: module(torch.from_numpy(histories), torch.from_numpy(items)).detach().numpy()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda histories, items: session.run(OUTPUTS, dict(zip(INPUTS, (histories, items), strict=True)))[0]


def padded_histories(clicks: Clicks) -> np.ndarray:
    """The history of every row: ``[R, P]`` int64, zeros on the left."""
    begin, end = clicks.history_offsets[clicks.history], clicks.history_offsets[clicks.history + 1]
    length = end - begin
    padded = np.zeros((len(clicks), length.max(initial=0)), np.int64)
    row = np.repeat(np.arange(len(clicks)), length)
    age = np.repeat(offsets_of(length)[1:], length) - np.arange(len(row))
    padded[row, padded.shape[1] - age] = clicks.history_items[positions(begin, length)]
    return padded


def _traced(scorer: Scorer, every_item: bool) -> ExportedProgram:
    import torch

    from mmctr_kedro.export.padded import Padded

    example = (torch.tensor([[0, 1, 1], [0, 0, 0]]), torch.tensor([1, 1]))
    rows, clicks = torch.export.Dim("rows"), torch.export.Dim("clicks")
    shapes = ({0: rows, 1: clicks}, {0: rows})
    return torch.export.export(Padded(scorer, every_item), example, dynamic_shapes=shapes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporters say of themselves."""
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)
