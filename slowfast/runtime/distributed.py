"""Processes that work together: rank, world size, collectives. One process is the case without a process group."""

import os
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

# Collectives that a lost peer would hold up for ever end with an error after this time.
TIMEOUT = timedelta(minutes=30)


def init_process_group(init_method: str, rank: int, world_size: int, device: torch.device) -> None:
    """Join the process group: nccl on GPUs, gloo on the CPU."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=init_method, rank=rank, world_size=world_size, timeout=TIMEOUT)


def destroy_process_group() -> None:
    """Leave the process group, if there is one."""
    if is_distributed():
        dist.destroy_process_group()


def is_distributed() -> bool:
    """Whether several processes work together."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """0-based index of this process among all."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Number of processes on all nodes."""
    return dist.get_world_size() if is_distributed() else 1


def is_main() -> bool:
    """Whether this process writes logs, checkpoints and reports."""
    return rank() == 0


def processes_per_node(num_gpus: int) -> int:
    """Processes on this node: what torchrun started, or one a GPU, at least one."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", max(num_gpus, 1)))


def barrier() -> None:
    """Wait for every process."""
    if is_distributed():
        dist.barrier()


def gather_objects(value: Any) -> list[Any]:
    """Every process's value, in the order of ranks, on rank 0; an empty list on the others."""
    if not is_distributed():
        return [value]
    gathered: list[Any] | None = [None] * world_size() if is_main() else None
    dist.gather_object(value, gathered)
    return gathered or []


def wrap_model(model: nn.Module, device: torch.device) -> nn.Module:
    """Average gradients over the processes; a single process keeps the bare model."""
    if not is_distributed():
        return model
    device_ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=device_ids)


def unwrap_model(model: nn.Module) -> nn.Module:
    """The bare model, whose state-dict keys are the published ones."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
