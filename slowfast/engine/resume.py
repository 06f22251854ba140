"""From a checkpoint of this run back to where it stood."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.config.load import flatten
from slowfast.config.sections import shapes_model
from slowfast.errors import UserError
from slowfast.models.weights.files import read_checkpoint, state_dict_of
from slowfast.models.weights.integrity import HASHED_PARTS, check_finite, check_hash, tensors_in
from slowfast.models.weights.load import load_weights
from slowfast.runtime import distributed
from slowfast.solver.optimizer import load_optimizer_state


def read_together(path: Path) -> dict[str, Any]:
    """Read a checkpoint to resume from in all processes at once; one of each node checks it, and the others wait.

    Raises:
        UserError: if it is damaged.
    """
    leads_node = distributed.leads_node()
    content = read_checkpoint(path, is_checked=not leads_node)
    if leads_node:
        for part in HASHED_PARTS:
            check_hash(content, part, str(path))
            check_finite(dict(tensors_in(content.get(part))), f"{path}: {part}")
    distributed.barrier()
    return content


def load_own_weights(model: nn.Module, content: dict[str, Any], cfg: CfgNode, path: Path) -> None:
    """Restore a model to resume training.

    Args:
        model: the bare model.
        content: of the checkpoint.
        cfg: the whole config, to tell why the weights do not fit.
        path: of the checkpoint.

    Raises:
        UserError: if the weights are not of this model, or the checkpoint holds nothing else.
    """
    try:
        load_weights(model, state_dict_of(content), str(path))
    except UserError as error:
        keys = _model_differences(content, cfg)
        raise UserError(f"{error}; it was trained with {', '.join(keys)}" if keys else str(error)) from None
    if "optimizer_state" not in content or "epoch" not in content:
        raise UserError(
            f"{path}: holds weights alone, nothing to resume from; name it as TRAIN.CHECKPOINT_FILE_PATH instead"
        )


def config_of(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The resolved config of the run that saved a checkpoint of ours, as nested keys; empty if it carries none."""
    return yaml.safe_load(checkpoint["config"]) if isinstance(checkpoint.get("config"), str) else {}


def _model_differences(checkpoint: dict[str, Any], cfg: CfgNode) -> list[str]:
    """Keys that shape the model and are not what the checkpoint's run had, as "KEY theirs, here ours"."""
    theirs = dict(flatten(CfgNode(config_of(checkpoint))))
    return [
        f"{key} {theirs[key]} (here {value})"
        for key, value in flatten(cfg)
        if shapes_model(key) and key in theirs and theirs[key] != value
    ]


def check_channel_order(theirs: Mapping[str, Any], cfg: CfgNode, source: str | Path) -> None:
    """Refuse to test or resume with colour channels in another order than the weights were trained on.

    Args:
        theirs: resolved config of the run that trained them, as nested keys; empty if that is not known, as of weights
            from other code. Runs from before ``DATA.CHANNEL_ORDER`` were on RGB.
        cfg: ours.
        source: of the weights, for the error.

    Raises:
        UserError: naming both orders.
    """
    if not theirs:
        return
    ours, recorded = cfg.DATA.CHANNEL_ORDER, theirs.get("DATA", {}).get("CHANNEL_ORDER")
    trained_on = recorded or "rgb"
    if trained_on != ours:
        told = trained_on if recorded else f"{trained_on}, as all weights from before this key"
        raise UserError(
            f"{source}: was trained with DATA.CHANNEL_ORDER {told}, and here it is {ours}; set DATA.CHANNEL_ORDER "
            f"{trained_on}, or give other weights"
        )


def check_class_names(theirs: list[str] | None, ours: list[str] | None, path: Path) -> None:
    """Refuse to resume with other classes.

    Raises:
        UserError: if the names of a checkpoint's classes are not ours, in our order.
    """
    if theirs == ours:
        return
    remedy = "use the DATA.CLASS_NAMES_FILE of that run or a new OUTPUT_DIR"
    if theirs is None or ours is None:
        told = "no class names" if theirs is None else "class names, and this run has none"
        raise UserError(f"{path}: was trained with {told}; {remedy}")
    if len(theirs) != len(ours):
        raise UserError(f"{path}: was trained with {len(theirs)} class names, this run has {len(ours)}; {remedy}")
    idx = next(i for i, (their, our) in enumerate(zip(theirs, ours, strict=True)) if their != our)
    raise UserError(
        f"{path}: was trained with other class names: class {idx} is {theirs[idx]!r} there and {ours[idx]!r} here; "
        f"{remedy}"
    )


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any], path: Path) -> None:
    """Restore an optimizer to resume training.

    Raises:
        UserError: if the state is of another kind of optimizer or of other parameters.
    """
    try:
        load_optimizer_state(optimizer, state)
    except ValueError as error:
        raise UserError(
            f"{path}: its optimizer does not fit SOLVER.* of the config ({error}); use that run's config or a new "
            f"OUTPUT_DIR with TRAIN.CHECKPOINT_FILE_PATH {path}"
        ) from None
