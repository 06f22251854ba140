"""How much memory a training step takes, without taking it."""

import weakref
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from slowfast.benchmarks.complexity import without_memory
from slowfast.models import logits_of_heads

NUM_ADAM_MOMENTS = 2


def step_memory_bytes(model: nn.Module, shape: Sequence[int]) -> int:
    """Estimate the peak memory of a training step in float32 with AdamW.

    The sum of all tensors that are alive at once, at its largest during forward and backward: weights, the optimizer's
    two moments, gradients, clips, activations kept for the backward pass and passing ones. Left out are what a kernel
    allocates and frees inside itself, what an allocator does not give back, and the passing tensors of the update
    itself, which comes when the activations are gone.

    Args:
        model: in training mode here, with its own activation checkpointing; on any device; it is left as it is.
        shape: of the clips, (N, C, T, H, W).
    """
    with without_memory(model) as model, LiveMemory() as memory:
        for tensor in (*model.parameters(), *model.buffers()):
            memory.add(tensor)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        moments = [torch.empty_like(parameter) for parameter in trained for _ in range(NUM_ADAM_MOMENTS)]
        heads = logits_of_heads(model.train()(torch.empty(shape)))
        targets = torch.zeros(shape[0], dtype=torch.int64)
        sum(F.cross_entropy(logits, targets) for logits in heads).backward()
        del moments
    return memory.peak_bytes


class LiveMemory(TorchDispatchMode):
    """Follows the storages that operations inside the ``with`` statement allocate and that are freed again.

    Attributes:
        live_bytes: of the storages that are alive.
        peak_bytes: the most that there was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live_bytes = 0
        self.peak_bytes = 0
        self._seen: weakref.WeakSet = weakref.WeakSet()

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's storage from now on until it is freed, unless it is counted already."""
        storage = tensor.untyped_storage()
        if storage in self._seen:
            return
        self._seen.add(storage)
        num_bytes = storage.nbytes()
        self.live_bytes += num_bytes
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._remove, num_bytes)

    def _remove(self, num_bytes: int) -> None:
        self.live_bytes -= num_bytes

    def __torch_dispatch__(self, operation: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self.add(value)
        return result
