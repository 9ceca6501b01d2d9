"""Train small models as a process, or as one of several under torchrun: ``python shared.py <result.json>``.

The first process writes, by the name of a case, the losses of its epochs, the digest of every process's weights, and
whether all processes together predict what one predicts.
"""

import hashlib
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from conftest import draw_clicks, draw_embedding, draw_tags, small_model, without_dropout

from mmctr_kedro.common import ranks
from mmctr_kedro.common.machine import reproducible
from mmctr_kedro.models import build_model, din
from mmctr_kedro.models.settings import MODEL_PARAMS, CtrParams
from mmctr_kedro.training import loop

din.ATTENTION_DROPOUT = 0.0
loop.PREDICTION_BATCH = 16  # of 40 valid rows: three, the last of them shorter
CASES = {name: {"model": small_model(name, **without_dropout(name))} for name in MODEL_PARAMS} | {
    # Batch norm over few rows, three times in a row, makes much of rounding: the same rows in another order do so too.
    "din": {"model": small_model("din", net_dropout=0.0), "batch_size": 61},
    "lazy": {"model": small_model("qin", net_dropout=0.0), "embedding_update": "lazy"},
    "pairwise": {"model": small_model("evidence", net_dropout=0.0), "pairwise_weight": 0.5},
    "parts": {"model": small_model("transformer_dcn", **without_dropout("transformer_dcn")), "accumulate": 3},
    "evaluated": {"model": small_model("qin", net_dropout=0.0), "evaluate_every": 4},
    "two rows": {"model": small_model("transformer_dcn", **without_dropout("transformer_dcn")), "batch_size": 19},
    "drawn": {"model": small_model("qin", net_dropout=0.3), "precision": "bf16"},
}


def train(case: str) -> dict:
    """192 rows in batches of 17, the last of five: no share is as large as the next."""
    settings = {"batch_size": 17, "epochs": 3, "patience": 99, "threads": 1, "device": "cpu"}
    params = CtrParams(**settings | CASES[case])
    valid = draw_clicks(40, seed=2)
    with reproducible(params) as device:
        model = build_model(params, draw_tags(), draw_embedding())
        history = loop.fit(model, draw_clicks(192, seed=1), valid, params, device, case)
        pctr = loop.predict(model, valid, params)
        with ranks.alone():
            by_one = loop.predict(model, valid, params)
    weights = hashlib.sha256(b"".join(value.numpy().tobytes() for value in model.state_dict().values())).hexdigest()
    everyones = [weights] * ranks.size()
    if ranks.size() > 1:
        dist.all_gather_object(everyones, weights)
    return {
        "losses": [entry["train_loss"] for entry in history],
        "weights": everyones,
        "predicts_as_one": bool((pctr == by_one).all()),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    if dist.is_torchelastic_launched():
        dist.init_process_group("gloo")
    found = {case: train(case) for case in CASES}
    if ranks.rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(found))
    if dist.is_initialized():
        dist.destroy_process_group()
