"""Operations on the frames of a clip, uint8 (T, C, H, W)."""

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F


def resized_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) after scaling the short side to ``short_side`` pixels; the long side is rounded down."""
    if height <= width:
        return short_side, math.floor(width / height * short_side)
    return math.floor(height / width * short_side), short_side


def resize_short_side(frames: Tensor, short_side: int) -> Tensor:
    """Scale uint8 (T, C, H, W) bilinearly (half-pixel centres, no antialiasing) to a short side in pixels."""
    height, width = frames.shape[-2:]
    size = resized_size(height, width, short_side)
    if size == (height, width):
        return frames
    return F.resize(frames, list(size), antialias=False)


def spatial_crop_origin(height: int, width: int, size: int, spatial_idx: int) -> tuple[int, int]:
    """Top-left (y, x) of a test crop of ``size`` pixels: 0 left or top, 1 centre, 2 right or bottom.

    The crops move along the long side and stay centred on the short one.
    """
    if spatial_idx not in (0, 1, 2):
        raise ValueError(f"spatial_idx {spatial_idx} is not 0, 1 or 2")
    y, x = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if spatial_idx == 1:
        return y, x
    if height > width:
        return (0 if spatial_idx == 0 else height - size), x
    return y, (0 if spatial_idx == 0 else width - size)


def spatial_crop(frames: Tensor, size: int, spatial_idx: int) -> Tensor:
    """One of the three test crops of (T, C, H, W): (T, C, size, size), a view."""
    y, x = spatial_crop_origin(*frames.shape[-2:], size, spatial_idx)
    return frames[..., y : y + size, x : x + size]


def draw_resized_crop(
    height: int,
    width: int,
    *,
    area_range: tuple[float, float],
    aspect_range: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[int, int, int, int]:
    """Draw a crop (y, x, height, width) of random area and aspect ratio (arXiv 1409.4842, as torchvision draws it).

    Args:
        height, width: of the frames.
        area_range: bounds of the crop's share of the area; uniform.
        aspect_range: bounds of width over height; log-uniform.
        rng: source of the draws.

    Returns:
        A crop inside the frame: the first of ten tries that fits, else the largest central one of an allowed aspect.
    """
    for _ in range(10):
        area = height * width * rng.uniform(*area_range)
        aspect = math.exp(rng.uniform(math.log(aspect_range[0]), math.log(aspect_range[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
    aspect = min(max(width / height, aspect_range[0]), aspect_range[1])
    w = min(width, round(height * aspect))
    h = min(height, round(width / aspect))
    return (height - h) // 2, (width - w) // 2, h, w


def resized_crop(frames: Tensor, box: tuple[int, int, int, int], size: int) -> Tensor:
    """Cut ``box`` (y, x, height, width) out of (T, C, H, W) and scale it to (T, C, size, size), bilinear."""
    y, x, h, w = box
    return F.resize(frames[..., y : y + h, x : x + w], [size, size], antialias=False)


def draw_short_side(bounds: tuple[int, int], *, is_inverse_uniform: bool, rng: np.random.Generator) -> int:
    """Draw a short side in pixels: uniform in [lo, hi], or with its inverse uniform (VGG's and SlowFast's jitter)."""
    lo, hi = bounds
    if is_inverse_uniform:
        return round(1.0 / rng.uniform(1.0 / hi, 1.0 / lo))
    return round(rng.uniform(lo, hi))


def random_crop(frames: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """A random square of ``size`` pixels of (T, C, H, W), the same in all frames: (T, C, size, size), a view."""
    height, width = frames.shape[-2:]
    y, x = int(rng.integers(0, height - size + 1)), int(rng.integers(0, width - size + 1))
    return frames[..., y : y + size, x : x + size]


def normalize(clips: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (N, C, T, H, W) in [0, 255] to float32: (clips / 255 - mean) / std, with mean and std (C,)."""
    shape = (1, -1, 1, 1, 1)
    scale, shift = 1.0 / (255.0 * std), mean / std
    return torch.addcmul(-shift.view(shape), clips.float(), scale.view(shape))
