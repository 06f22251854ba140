"""Processes that work together: rank, world size, collectives. One process is the case without a process group."""

import contextlib
import os
import warnings
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

# Collectives that a lost peer would hold up for ever end with an error after this time.
TIMEOUT = timedelta(minutes=30)


def init_process_group(
    init_method: str, rank: int, world_size: int, device: torch.device, *, store: dist.Store | None = None
) -> None:
    """Join the process group: nccl on GPUs, gloo on the CPU.

    Args:
        init_method: where the processes meet, unless ``store`` is given.
        rank: of this process.
        world_size: number of processes.
        device: that this process computes on.
        store: through which the processes have met already.
    """
    backend = "nccl" if device.type == "cuda" else "gloo"
    place = {"init_method": init_method} if store is None else {"store": dist.PrefixStore("collectives", store)}
    dist.init_process_group(backend, rank=rank, world_size=world_size, timeout=TIMEOUT, **place)


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


def leads_node() -> bool:
    """Whether this process does what one of each node does: the processes of a node see the same files."""
    return rank() % processes_on_node() == 0


def processes_on_node() -> int:
    """Processes that work together on this node, once they do."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def processes_per_node(num_gpus: int) -> int:
    """Processes on this node: what torchrun started, or one per GPU, at least one."""
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


def gather_everywhere(value: Any) -> list[Any]:
    """Every process's value, in the order of ranks, on every process."""
    if not is_distributed():
        return [value]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def from_main(value: Any) -> Any:
    """Rank 0's value, on every process."""
    if not is_distributed():
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def sum_over_processes(values: Tensor) -> Tensor:
    """Sum a tensor over the processes, in place."""
    if is_distributed():
        dist.all_reduce(values)
    return values


def largest_over_processes(values: Tensor) -> Tensor:
    """Take the largest of each element over the processes, in place."""
    if is_distributed():
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return values


def share_buffers(model: nn.Module) -> None:
    """Give every process rank 0's buffers: running statistics of BatchNorm, which each gathers from its own share."""
    if is_distributed():
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def gradient_sync(model: nn.Module, *, is_on: bool) -> contextlib.AbstractContextManager[None]:
    """A context whose backward passes average the gradients over the processes, or only add up this process's own.

    Args:
        model: as ``wrap_model`` returns it; the forward pass has to be in the context, too.
        is_on: for the last of the batches whose gradients add up.
    """
    if is_on or not isinstance(model, nn.parallel.DistributedDataParallel):
        return contextlib.nullcontext()
    return model.no_sync()


def wrap_model(model: nn.Module, device: torch.device) -> nn.Module:
    """Average gradients over the processes; a single process keeps the bare model."""
    if not is_distributed():
        return model
    # Gradients of depthwise convolutions come with another stride of a dimension of one element, which means nothing.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    device_ids = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(model, device_ids=device_ids)


def unwrap_model(model: nn.Module) -> nn.Module:
    """The bare model, whose state-dict keys are the published ones."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
