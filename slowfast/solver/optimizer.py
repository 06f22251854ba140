"""Parameter groups and optimizers."""

from functools import partial
from types import NoneType
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.config.choices import ChoiceRegistry
from slowfast.errors import UserError

ParameterGroups = list[dict[str, Any]]

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def parameter_groups(
    model: nn.Module,
    *,
    weight_decay: float,
    bn_weight_decay: float,
    has_zero_decay_1d: bool,
    backbone_lr_ratio: float = 1.0,
    layer_decay: float = 1.0,
) -> ParameterGroups:
    """Group the trainable parameters by weight decay and by learning-rate factor.

    The groups, and the parameters in each, come in the order in which the model registers them: the same for every
    run of a config, as resuming from a checkpoint needs it.

    Args:
        model: the bare model; its ``backbone_parameters()`` are those of the pretrained backbone.
        weight_decay: decay of all parameters that no other rule covers (``temporal_cls_token`` included).
        bn_weight_decay: decay of BatchNorm's parameters.
        has_zero_decay_1d: no decay for other 1-D parameters (biases, LayerNorm, class embedding, ``balance``).
        backbone_lr_ratio: learning rate of the image backbone relative to the rest.
        layer_decay: learning rate of each layer relative to the next one (as in BEiT, arXiv 2106.08254), multiplied
            by the ratio above; the model's ``layer_idx()`` tells a parameter's layer, and the last one has factor 1.

    Returns:
        Optimizer groups, each with ``params``, ``weight_decay`` and ``lr_ratio``; groups without parameters are left
        out.

    Raises:
        UserError: for a layer decay of a model whose layers are not numbered.
    """
    batch_norm_ids = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, _BATCH_NORMS)
        for parameter in module.parameters(recurse=False)
    }
    backbone_ids: set[int] = set()
    if backbone_lr_ratio != 1.0:
        backbone_ids = {id(parameter) for parameter in model.backbone_parameters()}
    layers = {name: model.layer_idx(name) for name, _ in model.named_parameters()} if layer_decay != 1.0 else {}
    last_layer = max(layers.values(), default=0)
    groups: dict[tuple[str, bool, int], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if id(parameter) in batch_norm_ids:
            kind, decay = "batch_norm", bn_weight_decay
        elif has_zero_decay_1d and parameter.ndim == 1:
            kind, decay = "no_decay", 0.0
        else:
            kind, decay = "decay", weight_decay
        is_backbone, layer = id(parameter) in backbone_ids, layers.get(name, last_layer)
        ratio = (backbone_lr_ratio if is_backbone else 1.0) * layer_decay ** (last_layer - layer)
        group = groups.setdefault((kind, is_backbone, layer), {"params": [], "weight_decay": decay, "lr_ratio": ratio})
        group["params"].append(parameter)
    return list(groups.values())


OPTIMIZER_REGISTRY = ChoiceRegistry("OPTIMIZER", "SOLVER.OPTIMIZING_METHOD")
OPTIMIZER_REGISTRY.__doc__ = """
Optimizers by name. A registered object is a function ``(cfg, groups)`` to a ``torch.optim.Optimizer``:

- ``cfg``: the frozen config;
- ``groups``: of ``parameter_groups``; ``weight_decay`` is a group's own, and ``lr_ratio`` stays in it: before each step
  ``set_learning_rate`` multiplies the learning rate by it.
"""


@OPTIMIZER_REGISTRY.register(name="sgd")
def _build_sgd(cfg: CfgNode, groups: ParameterGroups) -> torch.optim.Optimizer:
    solver = cfg.SOLVER
    return torch.optim.SGD(
        groups,
        lr=solver.BASE_LR,
        momentum=solver.MOMENTUM,
        dampening=solver.DAMPENING,
        nesterov=solver.NESTEROV,
    )


def _build_adam(cfg: CfgNode, groups: ParameterGroups, *, kind: type[torch.optim.Adam]) -> torch.optim.Optimizer:
    """Updates all parameters in one GPU kernel if that is where the model is; on the CPU it is PyTorch's default."""
    is_on_gpu = all(parameter.is_cuda for group in groups for parameter in group["params"])
    return kind(groups, lr=cfg.SOLVER.BASE_LR, betas=(0.9, 0.999), eps=1e-8, fused=True if is_on_gpu else None)


OPTIMIZER_REGISTRY.register(partial(_build_adam, kind=torch.optim.Adam), name="adam")
OPTIMIZER_REGISTRY.register(partial(_build_adam, kind=torch.optim.AdamW), name="adamw")


def build_optimizer(cfg: CfgNode, model: nn.Module) -> torch.optim.Optimizer:
    """Build the optimizer that ``SOLVER.OPTIMIZING_METHOD`` names over ``parameter_groups``.

    Raises:
        UserError: if it is none of those registered, or makes something else than an optimizer of these groups.
    """
    solver = cfg.SOLVER
    build = OPTIMIZER_REGISTRY.find("SOLVER.OPTIMIZING_METHOD", solver.OPTIMIZING_METHOD)
    groups = parameter_groups(
        model,
        weight_decay=solver.WEIGHT_DECAY,
        bn_weight_decay=cfg.BN.WEIGHT_DECAY,
        has_zero_decay_1d=solver.ZERO_WD_1D_PARAM,
        backbone_lr_ratio=solver.BACKBONE_LR_RATIO,
        layer_decay=solver.LAYER_DECAY,
    )
    optimizer = build(cfg, groups)
    if not isinstance(optimizer, torch.optim.Optimizer) or any(
        "lr_ratio" not in each for each in optimizer.param_groups
    ):
        raise UserError(
            f"SOLVER.OPTIMIZING_METHOD {solver.OPTIMIZING_METHOD} gives {type(optimizer).__name__}; accepted: a "
            f"torch.optim.Optimizer of the groups that it is given, each with its lr_ratio"
        )
    return optimizer


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore what an optimizer has gathered, and the learning rate; weight decay and other options stay its own.

    A state may come from another device: step counts go where this optimizer's implementation needs them.

    Args:
        optimizer: of the same kind and groups.
        state: of ``state_dict()``.

    Raises:
        ValueError: if the state is of another kind of optimizer or of other groups.
    """
    own = [_options(group) for group in optimizer.param_groups]
    if [_kind(group) for group in optimizer.param_groups] != [_kind(group) for group in state["param_groups"]]:
        raise ValueError("of another kind, or of other parameter groups")
    # PyTorch reads in the state's options, not in the optimizer's, whether step counts belong on the GPU.
    groups = [{**theirs, **ours} for theirs, ours in zip(state["param_groups"], own, strict=True)]
    _check_shapes(optimizer, state)
    optimizer.load_state_dict({"state": state["state"], "param_groups": groups})


def _check_shapes(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Refuse averages of other shapes than their parameters', which PyTorch takes and the next step stumbles over."""
    pairs = [
        (idx, parameter)
        for theirs, ours in zip(state["param_groups"], optimizer.param_groups, strict=True)
        for idx, parameter in zip(theirs["params"], ours["params"], strict=True)
    ]
    for idx, parameter in pairs:
        for name, value in state["state"].get(idx, {}).items():
            if isinstance(value, torch.Tensor):
                if value.ndim and value.shape != parameter.shape:
                    raise ValueError(f"{name} of parameter {idx} is {tuple(value.shape)}, not {tuple(parameter.shape)}")
                if not value.is_floating_point():
                    raise ValueError(f"{name} of parameter {idx} has the type {value.dtype}")
            elif not isinstance(value, int | float | NoneType):
                raise ValueError(f"{name} of parameter {idx} is a {type(value).__name__}, not a tensor or a number")


def _kind(group: dict[str, Any]) -> tuple[bool, bool, int]:
    """What tells optimizers and groups apart, whatever other options a version of PyTorch knows."""
    return "betas" in group, "momentum" in group, len(group["params"])


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name not in ("params", "lr")}


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group, times the group's ``lr_ratio``."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_ratio"]
