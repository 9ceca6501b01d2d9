"""Starts the processes of one training: by PyTorch's own launcher on this machine, or by Ray Train on a cluster's.

Each runs the same function on the same data, which they map into memory or share through Ray's object store. One that
is lost takes the others with it; all are started again, and go on from the last checkpoint.
"""

from __future__ import annotations

import logging.config
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import joblib
import torch
import torch.distributed as dist
import yaml
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from mmctr_kedro.common import ranks
from mmctr_kedro.common.errors import DiskError, MmctrError
from mmctr_kedro.common.files import scratch
from mmctr_kedro.common.machine import pick_device
from mmctr_kedro.models.settings import CtrParams

RESTARTS = 3
LOGGING = Path(__file__).parents[1] / "template" / "conf" / "logging.yml"


def launch(job: Callable[[], Any], params: CtrParams, beside: Path | None = None) -> Any:
    """Run ``job`` in ``params.processes`` processes of one group; what the first of them returns.

    ``beside`` this path its data lie meanwhile, where the next run clears away what a killed one left; None: in the
    system's folder for such things.

    Raises:
        MmctrError: What the job raises, or that the extra ``ray`` is not installed.
    """
    found = _by_ray(job, params) if params.launcher == "ray" else _by_torchrun(job, params, beside)
    if isinstance(found, MmctrError):
        raise found
    return found


def _by_torchrun(job: Callable[[], Any], params: CtrParams, beside: Path | None) -> Any:
    cuda = pick_device(params.device).type == "cuda"
    with scratch(beside) if beside else TemporaryDirectory() as folder:
        (place,) = joblib.dump(job, f"{folder}/job")
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=params.processes,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            run_id="training",
            local_addr="127.0.0.1",
            max_restarts=RESTARTS,
            logs_specs=DefaultLogsSpecs(f"{folder}/logs", local_ranks_filter={0}),
            signals_to_handle="SIGTERM",  # torch never gives them back; Ctrl-C stays Python's
        )
        try:
            return elastic_launch(config, _of_torchrun)(place, cuda)[0]
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            said = failure.message["message"] if isinstance(failure.message, dict) else failure.message
            if said.startswith("DiskError: "):
                raise DiskError(said.removeprefix("DiskError: ")) from error
            raise


@record
def _of_torchrun(place: str, cuda: bool) -> Any:
    gpus = torch.cuda.device_count() if cuda else 0
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % gpus)
    size = int(os.environ["WORLD_SIZE"])
    # The launcher's store outlives a restart, and with it the addresses of processes that are gone.
    torch_dist: Any = dist  # documented, not typed
    store = torch_dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    attempt = torch_dist.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
    backend = "nccl" if gpus >= size else "gloo"
    dist.init_process_group(backend, store=attempt, rank=int(os.environ["RANK"]), world_size=size)
    try:
        return _work(joblib.load(place, mmap_mode="r"))
    finally:
        dist.destroy_process_group()


def _by_ray(job: Callable[[], Any], params: CtrParams) -> Any:
    if find_spec("ray") is None:
        raise MmctrError("launcher is 'ray', which is not installed: pip install -c requirements.lock ray")
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer, get_device

    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, configure_logging=False)
    try:
        gpus = params.device != "cpu" and ray.cluster_resources().get("GPU", 0) >= params.processes
        cpus, needed = ray.cluster_resources().get("CPU", 0), params.processes * params.threads
        if cpus < needed:  # Ray would wait for them forever
            raise MmctrError(
                f"{params.processes} processes of {params.threads} threads need {needed} CPUs; this Ray has {cpus:g}. "
                "Lower threads or processes."
            )
        held = ray.put(job)

        def of_ray() -> Any:
            if gpus:
                torch.cuda.set_device(get_device())
            return _work(ray.get(held))

        with TemporaryDirectory() as folder:
            scaling = ScalingConfig(
                num_workers=params.processes, use_gpu=gpus, resources_per_worker={"CPU": params.threads}
            )
            run = RunConfig(storage_path=folder, failure_config=FailureConfig(max_failures=RESTARTS))
            result: Any = TorchTrainer(of_ray, scaling_config=scaling, run_config=run).fit()
            return result.return_value
    finally:
        if started:
            ray.shutdown()


def _work(job: Callable[[], Any]) -> Any:
    """What the first process returns; a user's mistake, which all processes find, is no reason to start again."""
    first = ranks.rank() == 0
    logging.config.dictConfig(yaml.safe_load(LOGGING.read_text()))
    if not first:
        logging.disable(logging.INFO)
    try:
        found = job()
    except DiskError:  # of the first process alone, which writes
        raise
    except MmctrError as error:
        found = error
    return found if first else None
