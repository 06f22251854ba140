"""The transform of training and the transform of evaluation: frames of a video to views."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.datasets.transforms import functional


@dataclass(frozen=True, kw_only=True)
class TrainTransform:
    """Random resized crop (or short-side jitter and crop) and horizontal flip, the same for all frames of a clip.

    Args:
        size: side of the square crop, in pixels.
        area_range, aspect_range: bounds of the random resized crop; None for the short-side jitter.
        short_side_range: bounds of the short-side jitter, in pixels.
        is_inverse_uniform: draw the inverse of the short side uniformly.
        flip_prob: probability of a horizontal flip.
    """

    size: int
    area_range: tuple[float, float] | None
    aspect_range: tuple[float, float]
    short_side_range: tuple[int, int]
    is_inverse_uniform: bool = False
    flip_prob: float = 0.5

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "TrainTransform":
        """Read ``DATA.TRAIN_*`` and ``DATA.RANDOM_FLIP``."""
        data = cfg.DATA
        return cls(
            size=data.TRAIN_CROP_SIZE,
            area_range=tuple(data.TRAIN_JITTER_SCALES_RELATIVE) or None,
            aspect_range=tuple(data.TRAIN_JITTER_ASPECT_RELATIVE) or (3 / 4, 4 / 3),
            short_side_range=tuple(data.TRAIN_JITTER_SCALES),
            is_inverse_uniform=data.INV_UNIFORM_SAMPLE,
            flip_prob=0.5 if data.RANDOM_FLIP else 0.0,
        )

    def __call__(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """frames: uint8 (T, C, H, W); returns uint8 (T, C, size, size)."""
        if self.area_range is not None:
            box = functional.draw_resized_crop(
                *frames.shape[-2:], area_range=self.area_range, aspect_range=self.aspect_range, rng=rng
            )
            frames = functional.resized_crop(frames, box, self.size)
        else:
            short_side = functional.draw_short_side(
                self.short_side_range, is_inverse_uniform=self.is_inverse_uniform, rng=rng
            )
            frames = functional.random_crop(functional.resize_short_side(frames, short_side), self.size, rng)
        if rng.random() < self.flip_prob:
            frames = frames.flip(-1)
        return frames


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
