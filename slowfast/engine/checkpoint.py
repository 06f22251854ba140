"""Checkpoints: saved whole or not at all, found again, resumed from."""

import logging
import os
import re
from pathlib import Path
from typing import Any

import torch
from fvcore.common.config import CfgNode
from torch import nn

from slowfast.datasets.labels import class_key, load_label_list
from slowfast.models.class_order import HeadRules
from slowfast.models.weight_files import read_checkpoint, state_dict_of
from slowfast.models.weights import load_weights
from slowfast.runtime.errors import UserError

logger = logging.getLogger(__name__)

_NAME = "checkpoint_epoch_{:05d}.pyth"
_PATTERN = re.compile(r"checkpoint_epoch_(\d{5})\.pyth")
BEST_NAME = "checkpoint_best.pyth"


class CheckpointFolder:
    """The checkpoints of one run, in ``output_dir``/checkpoints.

    A file holds ``model_state`` and ``optimizer_state``, ``epoch`` (0-based, the last one finished), ``best_top1``,
    ``config`` (resolved, as YAML) and ``class_names`` (or None): tensors and plain containers only, read with
    ``weights_only=True``.

    Args:
        output_dir: of the run; the folder is made with the first checkpoint.
    """

    def __init__(self, output_dir: Path) -> None:
        self.folder = output_dir / "checkpoints"

    def latest(self) -> Path | None:
        """The checkpoint of the highest epoch, or None."""
        if not self.folder.is_dir():
            return None
        names = sorted(path.name for path in self.folder.iterdir() if _PATTERN.fullmatch(path.name))
        return self.folder / names[-1] if names else None

    def best(self) -> Path | None:
        """The checkpoint of the highest validation accuracy, or None."""
        path = self.folder / BEST_NAME
        return path if path.is_file() else None

    def save(self, content: dict[str, Any], *, is_best: bool = False) -> Path:
        """Write a checkpoint under a temporary name and rename it.

        Args:
            content: what a checkpoint holds, with its ``epoch``.
            is_best: write the best checkpoint instead of the epoch's.

        Returns:
            The file.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / (BEST_NAME if is_best else _NAME.format(content["epoch"]))
        temporary = path.with_name(path.name + ".tmp")
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        return path

    def remove(self, epoch: int) -> None:
        """Delete the checkpoint of a 0-based epoch, if there is one."""
        (self.folder / _NAME.format(epoch)).unlink(missing_ok=True)


def head_rules(cfg: CfgNode, class_names: list[str] | None, *, is_test: bool = False) -> HeadRules:
    """How the classifier of a checkpoint becomes ours.

    Args:
        cfg: MODEL.CHECKPOINT_CLASS_ORDER and UNIFORMERV2.DELETE_SPECIAL_HEAD are read.
        class_names: ours, in the order of the labels, or None.
        is_test: every class of ours needs a row.
    """
    return HeadRules.from_config(cfg, class_names, load_label_list, class_key, is_test=is_test)


def resume(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, class_names: list[str] | None
) -> dict[str, Any]:
    """Restore model and optimizer to go on training.

    Returns:
        The checkpoint's content; training goes on at ``epoch`` + 1.

    Raises:
        UserError: if the checkpoint is not of this run's model and classes, or holds weights alone.
    """
    checkpoint = read_checkpoint(path)
    load_weights(model, state_dict_of(checkpoint), str(path))
    if "optimizer_state" not in checkpoint or "epoch" not in checkpoint:
        raise UserError(
            f"{path}: holds weights alone, nothing to resume from; name it as TRAIN.CHECKPOINT_FILE_PATH instead"
        )
    if checkpoint.get("class_names") != class_names:
        raise UserError(
            f"{path}: was trained with other class names; use the DATA.CLASS_NAMES_FILE of that run or a new OUTPUT_DIR"
        )
    _load_optimizer(optimizer, checkpoint["optimizer_state"], path)
    return checkpoint


def _load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any], path: Path) -> None:
    """Restore what the optimizer has gathered; weight decay and the like stay the config's."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    theirs = [group.keys() - {"params"} for group in state["param_groups"]]
    try:
        if [group.keys() for group in own] != theirs:
            raise ValueError("of another kind, or of other parameter groups")
        optimizer.load_state_dict(state)
    except ValueError as error:
        raise UserError(
            f"{path}: its optimizer does not fit SOLVER.* of the config ({error}); use that run's config or a new "
            f"OUTPUT_DIR with TRAIN.CHECKPOINT_FILE_PATH {path}"
        ) from None
    for group, values in zip(optimizer.param_groups, own, strict=True):
        group.update(values)
