"""Activation checkpointing: compute activations again in the backward pass instead of keeping them."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


class FrozenRunningStats(AbstractContextManager):
    """Within it, a module's BatchNorm layers leave their running statistics alone; their outputs do not change."""

    def __init__(self, module: nn.Module) -> None:
        self.norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]

    def __enter__(self) -> None:
        self.saved = [(norm.momentum, norm.num_batches_tracked) for norm in self.norms]
        for norm in self.norms:
            norm.momentum, norm.num_batches_tracked = 0.0, norm.num_batches_tracked.clone()

    def __exit__(self, *exc_info: object) -> None:
        for norm, (momentum, num_batches_tracked) in zip(self.norms, self.saved, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, num_batches_tracked


def checkpointed(block: nn.Module, *args: Tensor | None) -> Any:
    """``block(*args)``, whose activations are computed again in the backward pass instead of kept.

    The second computation does not update running statistics: a batch counts once, as without checkpointing.
    """
    return checkpoint(block, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), FrozenRunningStats(block)))
