"""The same extraction by the workers of a Ray cluster (extra ``ray``), with Ray Data.

The driver reads what is there and says which items are new; actors, each with the encoder loaded once, read those items
themselves, encode them and write shards into the store, which must be a folder that all of them reach. A shard counts
once the driver has noted it, so a dead worker or a killed driver leaves nothing half.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmctr_kedro.common.errors import MmctrError
from mmctr_kedro.data.images import Refused
from mmctr_kedro.encoders.store import SHARD_ROWS, Shards, write_shard

if TYPE_CHECKING:
    from mmctr_kedro.encoders.extraction import CoverJob, TitleJob


class Worker:
    """An actor: the encoder of one job, and where its shards go."""

    def __init__(self, job: TitleJob | CoverJob, folder: Path) -> None:
        self._job, self._folder = job, folder

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[str]]:
        """Encode lists of item ids, a shard each; as JSON its shard, and what was refused."""
        reports = []
        for items in batch["items"]:
            read = self._job.read(np.array(json.loads(items)))
            done = list(self._job.encode((key, content) for _, key, content in read if key is not None))
            keys = [key for part in done for key in part.keys]
            shard = None
            if keys:
                shard = str(write_shard(self._folder, keys, np.concatenate([part.vectors for part in done])))
            refused = {key.decode(): [why.kind, why.why] for part in done for key, why in part.refused.items()}
            reports.append(json.dumps({"shard": shard, "refused": refused}))
        return {"report": reports}


def encode_on_ray(
    job: TitleJob | CoverJob, new: Iterable[tuple[int, bytes, Any]], shards: Shards
) -> Iterator[tuple[int, dict[bytes, Refused]]]:
    """Encode what is new and note every shard as it comes; connects to the cluster at hand, or starts a local one.

    Yields:
        Of a shard its rows, and by content key what was refused.
    """
    if find_spec("ray") is None:
        raise MmctrError("embedding.engine is 'ray', which is not installed: pip install -e '.[ray]'")
    if not job.anywhere:
        raise MmctrError(
            "embedding.engine is 'ray', whose workers go straight to the covers they want; a .tar.gz or .rar can only "
            "be read from its start. Unpack it, or make it a .zip or .tar."
        )
    items = np.array([item for item, *_ in new], dtype=np.int64)
    if not len(items):
        return
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    try:
        DataContext.get_current().enable_progress_bars = False
        cpus = int(ray.cluster_resources().get("CPU", 1))
        gpus = int(ray.cluster_resources().get("GPU", 0))
        actors = max(1, gpus or cpus // 2)
        parts = np.array_split(items, max(actors, -(-len(items) // SHARD_ROWS)))
        rows = [{"items": json.dumps(part.tolist())} for part in parts if len(part)]
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Worker,
            fn_constructor_args=(job, shards.folder),
            batch_size=1,
            compute=ActorPoolStrategy(size=actors),
            num_gpus=1 if gpus else 0,
            num_cpus=0 if gpus else max(1, cpus // actors),
        )
        for row in results.iter_rows():
            report: dict[str, Any] = json.loads(row["report"])
            refused = {key.encode(): Refused(*why) for key, why in report["refused"].items()}
            yield shards.note(Path(report["shard"])) if report["shard"] else 0, refused
    finally:
        if started:
            ray.shutdown()
