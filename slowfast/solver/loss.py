"""Losses by name."""

from collections.abc import Callable

import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.runtime.errors import UserError

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": F.cross_entropy,
    # The same function: with a float (N, K) target, each row a distribution, it is the soft-target cross entropy.
    "soft_cross_entropy": F.cross_entropy,
}


def build_loss(cfg: CfgNode) -> Callable[[Tensor, Tensor], Tensor]:
    """The function (logits (N, K), targets) -> scalar mean that ``MODEL.LOSS_FUNC`` names.

    Raises:
        UserError: if it is none of those built here.
    """
    name = cfg.MODEL.LOSS_FUNC
    if name not in LOSSES:
        raise UserError(f"MODEL.LOSS_FUNC {name!r} is not a loss; accepted: {', '.join(LOSSES)}")
    return LOSSES[name]
