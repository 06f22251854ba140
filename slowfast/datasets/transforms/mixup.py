"""Mixup (arXiv 1710.09412) and cutmix (arXiv 1905.04899) of a batch of clips, with smoothed labels."""

from dataclasses import dataclass

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.errors import UserError


def smooth_one_hot(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """int64 labels (N,) to float32 (N, num_classes); ``smoothing`` of each row is spread over all classes alike."""
    targets = torch.full((len(labels), num_classes), smoothing / num_classes, device=labels.device)
    return targets.scatter_(1, labels[:, None], 1.0 - smoothing + smoothing / num_classes)


def draw_cutmix_box(height: int, width: int, kept_share: float, rng: np.random.Generator) -> tuple[slice, slice, float]:
    """Draw a rectangle of a frame's shape around a uniform centre, cut off at the border.

    Odd sides lose a pixel, as in the published runs and in timm before 1.0.29.

    Args:
        height, width: of the frame, in pixels.
        kept_share: share of the area that the rectangle leaves, if nothing is cut off.
        rng: source of the draws.

    Returns:
        Rows, columns, and the share of the area that the rectangle truly leaves.
    """
    ratio = (1.0 - kept_share) ** 0.5
    half_h, half_w = int(height * ratio) // 2, int(width * ratio) // 2
    centre_y, centre_x = int(rng.integers(0, height)), int(rng.integers(0, width))
    top, left = max(centre_y - half_h, 0), max(centre_x - half_w, 0)
    bottom, right = min(centre_y + half_h, height), min(centre_x + half_w, width)
    kept_share = 1.0 - (bottom - top) * (right - left) / (height * width)
    return slice(top, bottom), slice(left, right), kept_share


@dataclass(frozen=True, kw_only=True)
class Mixup:
    """Mixes each clip of a batch with the one at the mirrored place: first with last, and so on.

    One draw holds for the whole batch. The middle clip of an odd batch is its own partner and stays as it is.

    Args:
        num_classes: classes (K).
        mixup_alpha, cutmix_alpha: the share of a clip is drawn from Beta(alpha, alpha); 0 turns that kind off.
        prob: probability that a batch is mixed.
        switch_prob: probability of cutmix where both kinds are on.
        label_smoothing: share of each target that is spread over all classes, mixed or not.

    Raises:
        UserError: if both kinds are off.
    """

    num_classes: int
    mixup_alpha: float
    cutmix_alpha: float
    prob: float
    switch_prob: float
    label_smoothing: float

    def __post_init__(self) -> None:
        if self.mixup_alpha <= 0 and self.cutmix_alpha <= 0:
            raise UserError(
                f"MIXUP.ALPHA is {self.mixup_alpha} and MIXUP.CUTMIX_ALPHA {self.cutmix_alpha}; "
                f"one of them must be above 0, or set MIXUP.ENABLE to False"
            )

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "Mixup | None":
        """Read ``MIXUP.*`` and ``MODEL.NUM_CLASSES``; None without ``MIXUP.ENABLE``."""
        if not cfg.MIXUP.ENABLE:
            return None
        return cls(
            num_classes=cfg.MODEL.NUM_CLASSES,
            mixup_alpha=cfg.MIXUP.ALPHA,
            cutmix_alpha=cfg.MIXUP.CUTMIX_ALPHA,
            prob=cfg.MIXUP.PROB,
            switch_prob=cfg.MIXUP.SWITCH_PROB,
            label_smoothing=cfg.MIXUP.LABEL_SMOOTH_VALUE,
        )

    def __call__(self, clips: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Mix a batch on the device that it is on.

        Args:
            clips: float (N, C, T, H, W), normalised; left as they are.
            labels: int64 (N,).
            rng: source of the draws.

        Returns:
            Clips like the given ones, and targets: float32 (N, K), each row a distribution.
        """
        targets = smooth_one_hot(labels, self.num_classes, self.label_smoothing)
        if rng.random() >= self.prob:
            return clips, targets
        has_both = self.mixup_alpha > 0 and self.cutmix_alpha > 0
        is_cutmix = rng.random() < self.switch_prob if has_both else self.cutmix_alpha > 0
        alpha = self.cutmix_alpha if is_cutmix else self.mixup_alpha
        share = float(rng.beta(alpha, alpha))
        if is_cutmix:
            rows, columns, share = draw_cutmix_box(*clips.shape[-2:], share, rng)
            mixed = clips.clone()
            mixed[..., rows, columns] = clips[..., rows, columns].flip(0)
        else:
            mixed = torch.lerp(clips.flip(0), clips, share)
        return mixed, torch.lerp(targets.flip(0), targets, share)
