"""One entry for one process, several on a node, several nodes, and torchrun."""

import os
import re
import socket
import sys
from collections.abc import Callable

import torch
import torch.multiprocessing as mp
from fvcore.common.config import CfgNode

from slowfast.runtime import distributed
from slowfast.runtime.errors import UserError
from slowfast.runtime.log import setup_logging

Job = Callable[[CfgNode, torch.device], None]


def launch(cfg: CfgNode, job: Job, *, init_method: str = "", shard_id: int = 0) -> None:
    """Run ``job(cfg, device)`` in every process of this node and exit non-zero if one fails.

    Under torchrun this process is one of those that torchrun started. Otherwise ``NUM_GPUS`` processes are started
    (this one does the work itself if it is the only one); ``NUM_GPUS 0`` is one process on the CPU.

    Args:
        cfg: NUM_GPUS and NUM_SHARDS are read.
        job: a module-level function.
        init_method: where nodes meet, as tcp://HOST:PORT; needed for NUM_SHARDS > 1 without torchrun.
        shard_id: 0-based index of this node.
    """
    try:
        if "LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ:
            _run_under_torchrun(cfg, job)
            return
        _check_gpus(cfg.NUM_GPUS)
        num_processes = distributed.processes_per_node(cfg.NUM_GPUS)
        if not 0 <= shard_id < cfg.NUM_SHARDS:
            raise UserError(f"--shard_id {shard_id} is outside [0, NUM_SHARDS {cfg.NUM_SHARDS})")
        if cfg.NUM_SHARDS > 1 and not init_method:
            raise UserError(
                f"NUM_SHARDS {cfg.NUM_SHARDS}: nodes have to find each other; start this on every node with "
                f"--init_method tcp://HOST:PORT and its --shard_id, or use torchrun, or set NUM_SHARDS 1"
            )
        if init_method and not re.fullmatch(r"tcp://.+:\d+|file:///.+", init_method):
            raise UserError(f"--init_method {init_method} is no meeting place; accepted: tcp://HOST:PORT, file:///PATH")
        if num_processes * cfg.NUM_SHARDS == 1:
            _run_process(cfg, job, 0, None)
            return
    except UserError as error:
        _exit_with(error)
    _spawn(cfg, job, num_processes, init_method or f"tcp://127.0.0.1:{_free_port()}", shard_id)


def _check_gpus(num_gpus: int) -> None:
    available = torch.cuda.device_count()
    if num_gpus > available:
        raise UserError(
            f"NUM_GPUS {num_gpus}, but this machine has {available}; set NUM_GPUS to at most {available}"
            f"{' (0 runs on the CPU)' if available == 0 else ''}"
        )


def _exit_with(error: UserError) -> None:
    print(f"error: {error}", file=sys.stderr, flush=True)
    sys.exit(1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _run_under_torchrun(cfg: CfgNode, job: Job) -> None:
    """Be one of torchrun's processes; the environment says which."""
    per_node = int(os.environ["LOCAL_WORLD_SIZE"])
    num_nodes = int(os.environ["WORLD_SIZE"]) // per_node
    if num_nodes != cfg.NUM_SHARDS:
        raise UserError(f"torchrun started {num_nodes} nodes, but NUM_SHARDS is {cfg.NUM_SHARDS}; make them equal")
    if cfg.NUM_GPUS not in (0, per_node):
        raise UserError(
            f"torchrun started {per_node} processes on this node, but NUM_GPUS is {cfg.NUM_GPUS}; make them equal "
            f"(or NUM_GPUS 0 for the CPU)"
        )
    _check_gpus(cfg.NUM_GPUS)
    group = ("env://", int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    _run_process(cfg, job, int(os.environ["LOCAL_RANK"]), group)


def _run_process(cfg: CfgNode, job: Job, local_rank: int, group: tuple[str, int, int] | None) -> None:
    """Join the group (init_method, rank, world_size), if there is one, and do the job on this process's device."""
    device = torch.device("cuda", local_rank) if cfg.NUM_GPUS > 0 else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        _leave_cores_to_workers(cfg)
    if group is not None:
        distributed.init_process_group(*group, device)
    try:
        setup_logging(None)
        job(cfg, device)
    finally:
        distributed.destroy_process_group()


def _leave_cores_to_workers(cfg: CfgNode) -> None:
    """On the CPU, compute on the cores that the data loading leaves over.

    More threads than cores wait for each other, at many times the cost of what they bring.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own_cores = cores // distributed.processes_per_node(cfg.NUM_GPUS)
    torch.set_num_threads(min(torch.get_num_threads(), max(own_cores - cfg.DATA_LOADER.NUM_WORKERS, 1)))


def _spawn(cfg: CfgNode, job: Job, num_processes: int, init_method: str, shard_id: int) -> None:
    """Start this node's processes and wait; the first user's mistake is printed once, by the process that met it."""
    context = mp.get_context("spawn")
    is_first_error = context.Lock()
    arguments = (cfg, job, num_processes, init_method, shard_id, is_first_error)
    try:
        mp.spawn(_spawned, args=arguments, nprocs=num_processes, join=True)
    except mp.ProcessExitedException as error:
        sys.exit(error.exit_code)


def _spawned(
    local_rank: int, cfg: CfgNode, job: Job, num_processes: int, init_method: str, shard_id: int, is_first_error
) -> None:
    os.environ["LOCAL_WORLD_SIZE"] = str(num_processes)
    group = (init_method, shard_id * num_processes + local_rank, num_processes * cfg.NUM_SHARDS)
    try:
        _run_process(cfg, job, local_rank, group)
    except UserError as error:
        if is_first_error.acquire(block=False):
            _exit_with(error)
        sys.exit(1)
