"""Parameter groups and optimizers."""

from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def parameter_groups(
    model: nn.Module,
    *,
    weight_decay: float,
    bn_weight_decay: float,
    has_zero_decay_1d: bool,
    backbone_lr_ratio: float = 1.0,
) -> list[dict[str, Any]]:
    """Group the trainable parameters by weight decay and by learning-rate factor.

    Args:
        model: the bare model; its optional ``vit_parameters()`` names the pretrained image backbone.
        weight_decay: decay of all parameters that no other rule covers (``temporal_cls_token`` included).
        bn_weight_decay: decay of BatchNorm's parameters.
        has_zero_decay_1d: no decay for other 1-D parameters (biases, LayerNorm, class embedding, ``balance``).
        backbone_lr_ratio: learning rate of the image backbone relative to the rest.

    Returns:
        Optimizer groups, each with ``params``, ``weight_decay`` and ``lr_ratio``; groups without parameters are left
        out.
    """
    batch_norm_ids = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, _BATCH_NORMS)
        for parameter in module.parameters(recurse=False)
    }
    backbone_ids: set[int] = set()
    if backbone_lr_ratio != 1.0 and hasattr(model, "vit_parameters"):
        backbone_ids = {id(parameter) for parameter in model.vit_parameters()}
    groups: dict[tuple[str, float], dict[str, Any]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in batch_norm_ids:
            kind, decay = "batch_norm", bn_weight_decay
        elif has_zero_decay_1d and parameter.ndim == 1:
            kind, decay = "no_decay", 0.0
        else:
            kind, decay = "decay", weight_decay
        ratio = backbone_lr_ratio if id(parameter) in backbone_ids else 1.0
        group = groups.setdefault((kind, ratio), {"params": [], "weight_decay": decay, "lr_ratio": ratio})
        group["params"].append(parameter)
    return list(groups.values())


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer that ``SOLVER.OPTIMIZING_METHOD`` names (sgd, adam, adamw) over ``parameter_groups``."""
    solver = cfg.SOLVER
    groups = parameter_groups(
        model,
        weight_decay=solver.WEIGHT_DECAY,
        bn_weight_decay=cfg.BN.WEIGHT_DECAY,
        has_zero_decay_1d=solver.ZERO_WD_1D_PARAM,
        backbone_lr_ratio=solver.BACKBONE_LR_RATIO,
    )
    if solver.OPTIMIZING_METHOD == "sgd":
        return torch.optim.SGD(
            groups,
            lr=solver.BASE_LR,
            momentum=solver.MOMENTUM,
            dampening=solver.DAMPENING,
            nesterov=solver.NESTEROV,
        )
    optimizers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    if solver.OPTIMIZING_METHOD not in optimizers:
        raise ValueError(
            f"SOLVER.OPTIMIZING_METHOD {solver.OPTIMIZING_METHOD!r} is not an optimizer; accepted: sgd, adam, adamw"
        )
    return optimizers[solver.OPTIMIZING_METHOD](groups, lr=solver.BASE_LR, betas=(0.9, 0.999), eps=1e-8)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group, times the group's ``lr_ratio``."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_ratio"]
