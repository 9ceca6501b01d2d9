"""The same extraction by the workers of a Ray cluster (extra ``ray``).

The driver reads what is there and says which items are new; actors, each with the encoder loaded once, read those items
themselves, encode them and write shards into the store, which must be a folder that all of them reach. A shard counts
once the driver has noted it, so a dead worker or a killed driver leaves nothing half.
"""

from __future__ import annotations

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

    def encode(self, items: np.ndarray) -> tuple[Path | None, dict[bytes, Refused]]:
        """Encode these items: their shard, None where none has a vector, and by content key what was refused."""
        read = self._job.read(items)
        done = list(self._job.encode((key, content) for _, key, content in read if key is not None))
        keys = [key for part in done for key in part.keys]
        refused = {key: why for part in done for key, why in part.refused.items()}
        if not keys:
            return None, refused
        return write_shard(self._folder, keys, np.concatenate([part.vectors for part in done])), refused


def encode_on_ray(
    job: TitleJob | CoverJob, new: Iterable[tuple[int, bytes, Any]], shards: Shards
) -> Iterator[tuple[int, dict[bytes, Refused]]]:
    """Encode what is new and note every shard as it comes; connects to the cluster at hand, or starts a local one.

    Yields:
        Of a shard its rows, and by content key what was refused.
    """
    if find_spec("ray") is None:
        raise MmctrError("embedding.engine is 'ray', which is not installed: pip install -c requirements.lock ray")
    if not job.anywhere:
        raise MmctrError(
            "embedding.engine is 'ray', whose workers go straight to the covers they want; a .tar.gz or .rar can only "
            "be read from its start. Unpack it, or make it a .zip or .tar."
        )
    items = np.array([item for item, *_ in new], dtype=np.int64)
    if not len(items):
        return
    import ray
    from ray.util import ActorPool

    started = not ray.is_initialized()
    if started:
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    try:
        cpus, gpus = (int(ray.cluster_resources().get(kind, 0)) for kind in ("CPU", "GPU"))
        actors = max(1, gpus or cpus // 2)
        actor = ray.remote(
            num_gpus=1 if gpus else 0,
            num_cpus=0 if gpus else max(1, cpus // actors),
            max_restarts=3,  # a worker that dies is replaced, and its shard made again
            max_task_retries=3,
        )(Worker)
        job_once = ray.put(job)
        pool = ActorPool([actor.remote(job_once, shards.folder) for _ in range(actors)])
        parts = np.array_split(items, min(len(items), max(actors, -(-len(items) // SHARD_ROWS))))
        for shard, refused in pool.map_unordered(lambda worker, part: worker.encode.remote(part), parts):
            yield shards.note(shard) if shard else 0, refused
    finally:
        if started:
            ray.shutdown()
