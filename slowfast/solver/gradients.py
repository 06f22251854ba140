"""Gradient clipping."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], *, max_norm: float, max_value: float) -> Tensor:
    """Bound the gradients in place, by value or else by norm; what is not finite stays so.

    Args:
        parameters: those without a gradient do not count.
        max_norm: largest Euclidean norm of all gradients together; beyond it all are scaled down alike
            (SOLVER.CLIP_GRADIENT). 0 or less for none.
        max_value: largest magnitude of an element (SOLVER.CLIP_GRAD_VAL). 0 or less for none; above it, it takes the
            place of ``max_norm``, as in SlowFast.

    Returns:
        The norm before clipping, a float scalar on the gradients' device; not finite if a gradient is not.
    """
    trained = [parameter for parameter in parameters if parameter.grad is not None]
    norm = nn.utils.get_total_norm([parameter.grad for parameter in trained])
    if trained and max_value > 0:
        nn.utils.clip_grad_value_(trained, max_value)
    elif max_norm > 0:
        nn.utils.clip_grads_with_norm_(trained, max_norm, norm)
    return norm
