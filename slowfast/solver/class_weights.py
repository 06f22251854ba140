"""Weights of the classes in a loss, for lists in which some are rare."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.config.coerce import short
from slowfast.errors import UserError
from slowfast.runtime.files import system_cause


def build_class_weights(cfg: CfgNode, class_counts: Sequence[int], num_videos: int) -> Tensor | None:
    """The weights that ``MODEL.CLASS_WEIGHTS`` asks for, float32 (K,); None for none.

    Args:
        cfg: ``DATA.MULTI_LABEL`` is read, too.
        class_counts: (K,), training videos of each class.
        num_videos: of the training list.

    Raises:
        UserError: if it names a file that does not hold K weights (file:line).
    """
    source = cfg.MODEL.CLASS_WEIGHTS
    if not source:
        return None
    if source != "balanced":
        return torch.tensor(load_weights_file(Path(source), len(class_counts)), dtype=torch.float32)
    formula = balanced_positive_weights if cfg.DATA.MULTI_LABEL else balanced_weights
    return torch.from_numpy(formula(np.asarray(class_counts), num_videos)).float()


def balanced_weights(class_counts: np.ndarray, num_videos: int) -> np.ndarray:
    """N / (K n_k) for the n_k videos of class k of N in all, as scikit-learn's ``class_weight="balanced"``.

    The weights are 1 on average over the videos. K counts the classes that have some; the others get 1.

    Args:
        class_counts: int (K,).
        num_videos: N.

    Returns:
        float64 (K,).
    """
    weights = np.ones(len(class_counts))
    has_videos = class_counts > 0
    weights[has_videos] = num_videos / (has_videos.sum() * class_counts[has_videos])
    return weights


def balanced_positive_weights(class_counts: np.ndarray, num_videos: int) -> np.ndarray:
    """(N - n_k) / n_k, videos without a class over those with it, as PyTorch's ``pos_weight`` is meant.

    A class that all videos show, or none, gets 1. Arguments and result as of ``balanced_weights``.
    """
    weights = np.ones(len(class_counts))
    is_mixed = (class_counts > 0) & (class_counts < num_videos)
    weights[is_mixed] = (num_videos - class_counts[is_mixed]) / class_counts[is_mixed]
    return weights


def load_weights_file(path: Path, num_classes: int) -> list[float]:
    """Read a weight per line, in the order of the labels.

    Raises:
        UserError: if the file cannot be read, or does not hold ``num_classes`` finite numbers from 0 on, one above it.
    """
    key = f"MODEL.CLASS_WEIGHTS {path}"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{key}: cannot be read: {system_cause(error)}; accepted: '', balanced, or a file of weights"
        ) from None
    weights = [_weight(line, f"{key}:{number}") for number, line in enumerate(lines, 1)]
    if len(weights) != num_classes or not any(weights):
        told = f"{len(weights)} weights" if any(weights) else "no weight above 0"
        raise UserError(f"{key}: {told}; accepted: one per line for each of MODEL.NUM_CLASSES {num_classes} classes")
    return weights


def _weight(line: str, where: str) -> float:
    try:
        weight = float(line)
    except ValueError:
        weight = math.nan
    if not 0 <= weight <= torch.finfo(torch.float32).max:
        raise UserError(f"{where}: {short(line)} is no weight; accepted: a finite number from 0 on")
    return weight
