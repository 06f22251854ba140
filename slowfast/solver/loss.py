"""Losses by name."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.errors import UserError

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": F.cross_entropy,
    # The same function: with a float (N, K) target, each row a distribution, it is the soft-target cross entropy.
    "soft_cross_entropy": F.cross_entropy,
    # Targets are float (N, K), 1 for each class that a video shows; the mean is over videos and classes.
    "bce_logit": F.binary_cross_entropy_with_logits,
}


def build_loss(cfg: CfgNode) -> Callable[[Tensor, Tensor], Tensor]:
    """The function (logits (N, K), targets) -> scalar mean that ``MODEL.LOSS_FUNC`` names.

    ``MODEL.LABEL_SMOOTHING`` goes into cross_entropy, the one loss that the rules of the config leave it to.

    Raises:
        UserError: if it is none of those built here.
    """
    name, smoothing = cfg.MODEL.LOSS_FUNC, cfg.MODEL.LABEL_SMOOTHING
    if name not in LOSSES:
        raise UserError(f"MODEL.LOSS_FUNC {name!r} is not a loss; accepted: {', '.join(LOSSES)}")
    return partial(LOSSES[name], label_smoothing=smoothing) if smoothing else LOSSES[name]
