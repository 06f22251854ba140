"""Random erasing (arXiv 1708.04896) of whole clips."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from slowfast.errors import UserError

MODES = ("const", "rand", "pixel")
# Bounds of the erased share of the area, over all rectangles of a clip, and of the aspect ratio of each.
AREA_RANGE = (0.02, 1 / 3)
ASPECT_RANGE = (0.3, 1 / 0.3)
# Draws of a rectangle until one fits.
MAX_DRAWS = 100


def draw_rectangle(
    height: int, width: int, *, area_share: float, rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Draw (y, x, height, width) smaller than the frame: uniform area, log-uniform aspect ratio, uniform place.

    Args:
        height, width: of the frame, in pixels.
        area_share: factor of ``AREA_RANGE``.
        rng: source of the draws.

    Returns:
        The first of ``MAX_DRAWS`` that fits; None if none does, as in very narrow frames.
    """
    for _ in range(MAX_DRAWS):
        area = rng.uniform(*AREA_RANGE) * height * width * area_share
        aspect = math.exp(rng.uniform(math.log(ASPECT_RANGE[0]), math.log(ASPECT_RANGE[1])))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if h < height and w < width:
            return int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w
    return None


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """Overwrites random rectangles of a clip, at the same place in all frames.

    The published recipe erases normalised clips with standard normal values z. Here clips are uint8 until they reach
    the device, so what is written is the pixel that normalises to z, 255 * (mean + std * z), rounded to a whole number
    and clamped to [0, 255]: with mean 0.45 and std 0.225 the clamp reaches 3 % of the values (z < -2 and z > 2.44).

    Args:
        prob: probability per clip.
        mode: const writes the mean colour, rand one random colour a rectangle, pixel another in each pixel and frame.
        max_count: the number of rectangles is uniform from 1 to this; their areas shrink with it.
        mean, std: of the normalisation, per channel, of values in [0, 1].

    Raises:
        UserError: naming ``AUG.RE_MODE`` if the mode is none of these.
    """

    prob: float
    mode: str
    max_count: int
    mean: Sequence[float]
    std: Sequence[float]

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"AUG.RE_MODE {self.mode!r} is none of {', '.join(MODES)}")

    def __call__(self, frames: Tensor, rng: np.random.Generator) -> Tensor:
        """frames: uint8 (T, C, H, W), left as they are; returns uint8 (T, C, H, W)."""
        if rng.random() >= self.prob:
            return frames
        frames = frames.clone()
        num_frames, _, height, width = frames.shape
        count = int(rng.integers(1, self.max_count + 1))
        for _ in range(count):
            rectangle = draw_rectangle(height, width, area_share=1 / count, rng=rng)
            if rectangle is not None:
                y, x, h, w = rectangle
                frames[..., y : y + h, x : x + w] = self._fill(num_frames, h, w, rng)
        return frames

    def _fill(self, num_frames: int, height: int, width: int, rng: np.random.Generator) -> Tensor:
        """uint8 that broadcasts to (T, C, height, width)."""
        num_channels = len(self.mean)
        mean, std = (np.asarray(values, np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std))
        if self.mode == "const":
            z = np.zeros((num_channels, 1, 1), np.float32)
        elif self.mode == "rand":
            z = rng.standard_normal((num_channels, 1, 1), np.float32)
        else:
            z = rng.standard_normal((num_frames, num_channels, height, width), np.float32)
        return torch.from_numpy((255 * (mean + std * z)).round().clip(0, 255).astype(np.uint8))
