"""The transform of training and the transform of evaluation: frames of a video to views."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.datasets.transforms import functional
from slowfast.datasets.transforms.rand_augment import ColorJitter, RandAugment, augment
from slowfast.datasets.transforms.registry import ClipTransform, build_extra_transforms


@dataclass(frozen=True, kw_only=True)
class TrainTransform:
    """Random resized crop (or short-side jitter and crop) and horizontal flip, the same for all frames of a clip.

    Before the crop, random colours and geometry of whole frames; after the flip, extra transforms. Random
    erasing comes later, once clips are normalised.

    Args:
        size: side of the square crop, in pixels.
        area_range, aspect_range: bounds of the random resized crop; None for the short-side jitter.
        short_side_range: bounds of the short-side jitter, in pixels.
        is_inverse_uniform: draw the inverse of the short side uniformly.
        flip_prob: probability of a horizontal flip.
        policy: draws the colours and geometry; None for none.
        extra: transforms of the flipped clip that draw from its generator, in order.
    """

    size: int
    area_range: tuple[float, float] | None
    aspect_range: tuple[float, float]
    short_side_range: tuple[int, int]
    is_inverse_uniform: bool = False
    flip_prob: float = 0.5
    policy: RandAugment | ColorJitter | None = None
    extra: Sequence[ClipTransform] = ()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "TrainTransform":
        """Read ``DATA.TRAIN_*``, ``DATA.RANDOM_FLIP`` and, with ``AUG.ENABLE``, ``AUG.*`` but random erasing.

        Raises:
            UserError: naming ``AUG.AA_TYPE``, ``AUG.INTERPOLATION`` or ``AUG.EXTRA_TRANSFORMS`` if it is not one of
                those known.
        """
        data = cfg.DATA
        return cls(
            size=data.TRAIN_CROP_SIZE,
            area_range=tuple(data.TRAIN_JITTER_SCALES_RELATIVE) or None,
            aspect_range=tuple(data.TRAIN_JITTER_ASPECT_RELATIVE) or (3 / 4, 4 / 3),
            short_side_range=tuple(data.TRAIN_JITTER_SCALES),
            is_inverse_uniform=data.INV_UNIFORM_SAMPLE,
            flip_prob=0.5 if data.RANDOM_FLIP else 0.0,
            policy=_build_policy(cfg),
            extra=build_extra_transforms(cfg),
        )

    def __call__(self, frames: Tensor, rng: np.random.Generator, *, may_flip: bool = True) -> Tensor:
        """frames: uint8 (T, C, H, W); returns uint8 (T, C, size, size).

        Without ``may_flip`` there is no flip, and all other draws are the same.
        """
        if self.area_range is not None:
            box = functional.draw_resized_crop(
                *frames.shape[-2:], area_range=self.area_range, aspect_range=self.aspect_range, rng=rng
            )
            if self.policy is not None:
                frames, box = augment(frames, self.policy, box, rng), (0, 0, *box[2:])
            frames = functional.resized_crop(frames, box, self.size)
        else:
            if self.policy is not None:
                frames = augment(frames, self.policy, (0, 0, *frames.shape[-2:]), rng)
            short_side = functional.draw_short_side(
                self.short_side_range, is_inverse_uniform=self.is_inverse_uniform, rng=rng
            )
            frames = functional.random_crop(functional.resize_short_side(frames, short_side), self.size, rng)
        if rng.random() < self.flip_prob and may_flip:
            frames = frames.flip(-1)
        for transform in self.extra:
            frames = transform(frames, rng)
        return frames


def _build_policy(cfg: CfgNode) -> RandAugment | ColorJitter | None:
    """RandAugment where ``AUG.AA_TYPE`` names a policy, colour jitter only where it does not."""
    if not cfg.AUG.ENABLE:
        return None
    if cfg.AUG.AA_TYPE:
        return RandAugment.from_policy(cfg.AUG.AA_TYPE, cfg.AUG.INTERPOLATION)
    return ColorJitter(strength=cfg.AUG.COLOR_JITTER) if cfg.AUG.COLOR_JITTER > 0 else None


@dataclass(frozen=True, kw_only=True)
class EvalTransform:
    """Short side to ``size`` pixels, then crops.

    Args:
        size: side of the square crops, in pixels.
        spatial_idxs: crops to take: 0 left or top, 1 centre, 2 right or bottom.
    """

    size: int
    spatial_idxs: Sequence[int] = (1,)

    def __call__(self, frames: Tensor) -> Tensor:
        """frames: uint8 (T, C, H, W); returns uint8 (crops, T, C, size, size)."""
        frames = functional.resize_short_side(frames, self.size)
        return torch.stack([functional.spatial_crop(frames, self.size, idx) for idx in self.spatial_idxs])
