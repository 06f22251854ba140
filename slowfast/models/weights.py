"""Weights from files into models, strictly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from slowfast.runtime.errors import UserError

# File under MODEL.WEIGHTS_DIR that holds CLIP's visual encoder of each backbone.
CLIP_FILES = {"b16": "vit_b16.pth", "l14": "vit_l14.pth", "l14_336": "vit_l14_336.pth"}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint file with ``weights_only=True``: tensors and plain containers, no code.

    Raises:
        UserError: if there is no such file, or it is damaged or holds other objects.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many kinds for a damaged file
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be read as a checkpoint: {cause}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, expected a dictionary of weights")
    return content


def state_dict_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights in a checkpoint, with or without a ``model_state`` or ``model`` wrapper."""
    for wrapper in ("model_state", "model"):
        if isinstance(checkpoint.get(wrapper), Mapping):
            return dict(checkpoint[wrapper])
    return dict(checkpoint)


def _first(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def load_weights(model: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Load weights of the very same architecture; the model is untouched if they do not fit.

    Args:
        model: the bare model.
        state_dict: its weights, under the published names.
        source: where they come from, for the error.

    Raises:
        UserError: naming keys that are missing, unknown or of another shape.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in state_dict]
    unknown = [name for name in state_dict if name not in own]
    reshaped = [
        f"{name} {tuple(state_dict[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in state_dict and state_dict[name].shape != own[name].shape
    ]
    complaints = [
        f"{len(names)} {what} ({_first(names)})"
        for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", reshaped))
        if names
    ]
    if complaints:
        raise UserError(
            f"{source}: weights of another architecture than the config's: {'; '.join(complaints)}; "
            f"use the config that the checkpoint was trained with"
        )
    model.load_state_dict(state_dict)


def load_pretrained(cfg: CfgNode, model: nn.Module) -> None:
    """Give a new model the weights that training starts from, as ``UNIFORMERV2.PRETRAIN`` says.

    ``none`` keeps the random initialisation; empty means the backbone's CLIP weights.

    Raises:
        UserError: if the file is missing, saying where to put it.
    """
    pretrain = cfg.UNIFORMERV2.PRETRAIN
    if pretrain == "none":
        return
    raise UserError("UNIFORMERV2.PRETRAIN: not built yet")
