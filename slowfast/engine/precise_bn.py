"""Running statistics of BatchNorm from many batches with the weights as they are (arXiv 2105.07576, section 3)."""

from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def update_bn_stats(model: nn.Module, clips: Iterable[Tensor], num_batches: int) -> None:
    """Replace the running statistics by the plain average over batches.

    Args:
        model: in training mode; nothing happens if it has no BatchNorm.
        clips: batches of its input.
        num_batches: batches to use at most.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a cumulative average
    for batch in islice(clips, num_batches):
        model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
