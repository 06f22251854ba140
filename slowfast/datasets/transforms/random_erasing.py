"""Random erasing (arXiv 1708.04896) of whole clips."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from slowfast.datasets.records import Erasure, Erasures
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
    """Draws what overwrites random rectangles of clips, at the same place in all frames of a clip.

    The values are those of normalised clips, as in the published recipe: standard normal ones have no place among the
    pixels of a uint8 clip, where 3 % of them would be cut off. So clips travel to the device as they are, with the
    rectangles beside them, and ``erase`` puts both together there.

    Args:
        prob: probability per clip.
        mode: const writes the mean colour, rand one random colour a rectangle, pixel another in each pixel and frame.
        max_count: the number of rectangles is uniform from 1 to this; their areas shrink with it.

    Raises:
        UserError: naming ``AUG.RE_MODE`` if the mode is none of these.
    """

    prob: float
    mode: str
    max_count: int

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"AUG.RE_MODE {self.mode!r} is none of {', '.join(MODES)}")

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "RandomErasing | None":
        """Read ``AUG.RE_*``; None without ``AUG.ENABLE``, or where nothing is ever erased."""
        if not cfg.AUG.ENABLE or cfg.AUG.RE_PROB == 0:
            return None
        return cls(prob=cfg.AUG.RE_PROB, mode=cfg.AUG.RE_MODE, max_count=cfg.AUG.RE_COUNT)

    def draw(self, shape: Sequence[int], rng: np.random.Generator) -> tuple[Erasure, ...]:
        """What is erased of one clip, in order: later rectangles may lie over earlier ones.

        Args:
            shape: of the clip, (C, T, H, W).
            rng: source of the draws.
        """
        if rng.random() >= self.prob:
            return ()
        num_channels, num_frames, height, width = shape
        count = int(rng.integers(1, self.max_count + 1))
        erasures = []
        for _ in range(count):
            rectangle = draw_rectangle(height, width, area_share=1 / count, rng=rng)
            if rectangle is not None:
                y, x, h, w = rectangle
                values = self._draw_values((num_frames, num_channels, h, w), rng)
                erasures.append(Erasure(slice(y, y + h), slice(x, x + w), values))
        return tuple(erasures)

    def _draw_values(self, shape: tuple[int, int, int, int], rng: np.random.Generator) -> Tensor:
        """float32 that broadcasts to (C, T, h, w), for a rectangle of (T, C, h, w)."""
        if self.mode == "const":
            return torch.zeros(1, 1, 1, 1)
        shape = (1, shape[1], 1, 1) if self.mode == "rand" else shape
        return torch.from_numpy(rng.standard_normal(shape, np.float32)).transpose(0, 1)


def erase(clips: Tensor, erasures: Erasures) -> Tensor:
    """Overwrite rectangles of normalised clips.

    Args:
        clips: float32 (N, C, T, H, W), changed in place.
        erasures: of these clips, on their device.

    Returns:
        The clips.
    """
    values = erasures.values.split([place.shape.numel() for place in erasures.places])
    for place, own in zip(erasures.places, values, strict=True):
        clips[place.clip_idx, :, :, place.rows, place.columns] = own.view(place.shape)
    return clips
