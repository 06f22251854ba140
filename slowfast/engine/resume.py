"""From a checkpoint of this run back to where it stood."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.config.coerce import short
from slowfast.config.load import flatten
from slowfast.config.sections import shapes_model
from slowfast.errors import UserError
from slowfast.models.weights.files import read_checkpoint, state_dict_of
from slowfast.models.weights.integrity import HASHED_PARTS, check_finite, check_hash, first_line, tensors_in
from slowfast.models.weights.load import load_weights
from slowfast.models.weights.sources import config_of
from slowfast.runtime import distributed
from slowfast.solver.optimizer import load_optimizer_state

# Key of a checkpoint -> the types of its value and what to call them.
LAYOUT: dict[str, tuple[tuple[type, ...], str]] = {
    "model_state": ((Mapping,), "weights by name"),
    "optimizer_state": ((Mapping,), "the state of an optimizer"),
    "epoch": ((int,), "a whole number"),
    "best_accuracy": ((int, float), "a number"),
}
OPTIONAL_LAYOUT: dict[str, tuple[tuple[type, ...], str]] = {
    "ema_state": ((Mapping, NoneType), "weights by name or None"),
    "scaler_state": ((Mapping, NoneType), "the state of a loss scale or None"),
    "class_names": ((list, NoneType), "a list of names or None"),
    "num_without_best": ((int,), "a whole number"),
    "step": ((int,), "a whole number"),
}
# What a checkpoint within an epoch has, too.
STEP_LAYOUT: dict[str, tuple[tuple[type, ...], str]] = {
    "rank_states": ((list,), "a list"),
    "videos_per_step": ((int,), "a whole number"),
    "seed": ((int,), "a whole number"),
}
# What PyTorch raises for a state that is not one of its own.
STATE_ERRORS = (ValueError, LookupError, TypeError, AttributeError, RuntimeError, OverflowError)


def read_together(path: Path) -> dict[str, Any]:
    """Read a checkpoint to resume from in all processes at once; one of each node checks it, and the others wait.

    Raises:
        UserError: if it is damaged, or holds not what a run of this project saves.
    """
    leads_node = distributed.leads_node()
    content = read_checkpoint(path, is_checked=not leads_node)
    _check_layout(content, path)
    if leads_node:
        for part in HASHED_PARTS:
            check_hash(content, part, str(path))
            check_finite(dict(tensors_in(content.get(part))), f"{path}: {part}")
    distributed.barrier()
    return content


def _check_layout(content: dict[str, Any], path: Path) -> None:
    """Refuse what another program saved, such as SlowFast, and values of other types than ours."""
    remedy = (
        "to start from its weights, name it as TRAIN.CHECKPOINT_FILE_PATH with a new OUTPUT_DIR, or with "
        "TRAIN.AUTO_RESUME False"
    )
    required = LAYOUT | (STEP_LAYOUT if content.get("step") else {})
    if lacking := [key for key in required if key not in content]:
        raise UserError(f"{path}: lacks {', '.join(lacking)}, so that there is nothing to resume from; {remedy}")
    for key, (types, accepted) in (required | OPTIONAL_LAYOUT).items():
        if key in content and (not isinstance(content[key], types) or isinstance(content[key], bool)):
            raise UserError(f"{path}: its {key} is {short(content[key])}, and accepted is {accepted}; {remedy}")
    names = content.get("class_names") or []
    if odd := [name for name in names if not isinstance(name, str)]:
        raise UserError(f"{path}: its class_names hold {short(odd[0])}, and accepted are names; {remedy}")


def restore_state(restore: Callable[[Any], None], state: Any, path: Path, what: str) -> None:
    """Give a part of the run its state from a checkpoint.

    Raises:
        UserError: if it is none of that part.
    """
    try:
        restore(state)
    except STATE_ERRORS as error:
        raise UserError(
            f"{path}: its {what} cannot be restored ({first_line(error)}); the file is damaged or of another program: "
            f"resume from an older one, or name it as TRAIN.CHECKPOINT_FILE_PATH with a new OUTPUT_DIR"
        ) from None


def load_own_weights(model: nn.Module, content: dict[str, Any], cfg: CfgNode, path: Path) -> None:
    """Restore a model to resume training.

    Args:
        model: the bare model.
        content: of the checkpoint.
        cfg: the whole config, to tell why the weights do not fit.
        path: of the checkpoint.

    Raises:
        UserError: if the weights are not of this model.
    """
    try:
        load_weights(model, state_dict_of(content), str(path))
    except UserError as error:
        keys = _model_differences(content, cfg)
        raise UserError(f"{error}; it was trained with {', '.join(keys)}" if keys else str(error)) from None


def check_own_channel_order(content: dict[str, Any], cfg: CfgNode, path: Path) -> None:
    """``check_channel_order`` of a checkpoint to resume from.

    Raises:
        UserError: also if its config cannot be read.
    """
    try:
        theirs = config_of(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    check_channel_order(theirs, cfg, path)


def _model_differences(checkpoint: dict[str, Any], cfg: CfgNode) -> list[str]:
    """Keys that shape the model and are not what the checkpoint's run had, as "KEY theirs, here ours"."""
    try:
        theirs = config_of(checkpoint)
    except UserError:  # the config is there to explain, and what is to be explained is an error already
        return []
    return [
        f"{key} {short(theirs[key])} (here {value})"
        for key, value in flatten(cfg)
        if shapes_model(key) and key in theirs and theirs[key] != value
    ]


def check_channel_order(theirs: Mapping[str, Any], cfg: CfgNode, source: str | Path) -> None:
    """Refuse to test or resume with colour channels in another order than the weights were trained on.

    Args:
        theirs: resolved config of the run that trained them, by dotted keys; empty if that is not known, as of weights
            from other code. Runs from before ``DATA.CHANNEL_ORDER`` were on RGB.
        cfg: ours.
        source: of the weights, for the error.

    Raises:
        UserError: naming both orders.
    """
    if not theirs:
        return
    ours, recorded = cfg.DATA.CHANNEL_ORDER, theirs.get("DATA.CHANNEL_ORDER")
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
    except STATE_ERRORS as error:
        raise UserError(
            f"{path}: its optimizer does not fit SOLVER.* of the config ({first_line(error)}); use that run's config "
            f"or a new OUTPUT_DIR with TRAIN.CHECKPOINT_FILE_PATH {path}"
        ) from None
