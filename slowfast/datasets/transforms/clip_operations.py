"""Colour and geometry operations on whole clips, each equal to what Pillow does to every frame.

A clip is uint8 (T, H, W, 3). What weighs the channels (Color, Contrast) takes the first one for red, with
``DATA.CHANNEL_ORDER bgr``, too, as the published runs did. All frames go through the same operation with the same
argument. What an operation measures on the image (a mean, a histogram) it measures on each frame.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

# What geometric operations put where the frame does not reach.
FILL_COLOUR = (128, 128, 128)
# Every value a channel takes, as an image: what becomes of it tells what becomes of any clip.
_RAMP = Image.fromarray(np.arange(256, dtype=np.uint8)[None])


class Region(NamedTuple):
    """A rectangle of a frame, in pixels."""

    y: int
    x: int
    height: int
    width: int

    def cut(self, clip: np.ndarray) -> np.ndarray:
        """The rectangle of (T, H, W, 3), a view."""
        return clip[:, self.y : self.y + self.height, self.x : self.x + self.width]


class Operation(NamedTuple):
    """An operation with everything drawn.

    Attributes:
        name: of ``POINT_OPERATIONS``, ``FRAME_OPERATIONS`` or ``MATRICES``.
        argument: what that operation takes; unused by those that take nothing.
        resample: interpolation of the geometric ones.
    """

    name: str
    argument: float = 0.0
    resample: Image.Resampling = Image.Resampling.BICUBIC


def _posterize(image: Image.Image, num_bits: float) -> Image.Image:
    # Not ImageOps.posterize: Pillow 13 refuses to keep 0 bits, which turns all black and which policies ask for.
    return image.point([value >> (8 - int(num_bits)) << (8 - int(num_bits)) for value in range(256)])


def _solarize_add(image: Image.Image, addend: float) -> Image.Image:
    return image.point([min(255, value + int(addend)) if value < 128 else value for value in range(256)])


# A channel's new value depends on its old value alone.
POINT_OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "Brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "Invert": lambda image, _: ImageOps.invert(image),
    "Posterize": _posterize,
    "Solarize": lambda image, threshold: ImageOps.solarize(image, int(threshold)),
    "SolarizeAdd": _solarize_add,
}
# A pixel depends on its colour, on its neighbours or on the whole frame.
FRAME_OPERATIONS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "AutoContrast": lambda image, _: ImageOps.autocontrast(image),
    "Color": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "Contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "Equalize": lambda image, _: ImageOps.equalize(image),
    "Sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
}


def _rotation(degrees: float, width: int, height: int) -> tuple[float, ...]:
    """Counter-clockwise about the centre, rounded as ``Image.rotate`` does."""
    angle = -math.radians(degrees)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = width / 2, height / 2
    return cos, sin, -cos * x - sin * y + x, -sin, cos, sin * x - cos * y + y


# (argument, width, height) to (a, b, c, d, e, f): the target (x, y) shows the source (ax + by + c, dx + ey + f).
MATRICES: dict[str, Callable[[float, int, int], tuple[float, ...]]] = {
    "Rotate": _rotation,
    "ShearX": lambda factor, width, height: (1, factor, 0, 0, 1, 0),
    "ShearY": lambda factor, width, height: (1, 0, 0, factor, 1, 0),
    "TranslateX": lambda share, width, height: (1, 0, share * width, 0, 1, 0),
    "TranslateY": lambda share, width, height: (1, 0, 0, 0, 1, share * height),
}
_NEED_WHOLE_FRAME = {*MATRICES, *FRAME_OPERATIONS} - {"Color"}


def apply_operations(clip: np.ndarray, operations: Sequence[Operation], region: Region) -> np.ndarray:
    """Apply operations one after the other and cut a region out of the result.

    Nothing outside the region is computed once no later operation looks beyond it.

    Args:
        clip: uint8 (T, H, W, 3), left as it is.
        operations: in this order.
        region: of the result.

    Returns:
        uint8 (T, region.height, region.width, 3); a view of ``clip`` without operations.
    """
    if not operations:
        return region.cut(clip)
    last_whole_idx = max((i for i, op in enumerate(operations) if op.name in _NEED_WHOLE_FRAME), default=0)
    for i, operation in enumerate(operations):
        wanted = region if i == last_whole_idx else Region(0, 0, *clip.shape[1:3])
        clip = _apply(clip, operation, wanted)
    return clip


def _apply(clip: np.ndarray, operation: Operation, region: Region) -> np.ndarray:
    name, argument = operation.name, operation.argument
    if name in POINT_OPERATIONS:
        table = POINT_OPERATIONS[name](_RAMP, argument).tobytes()
        clip = region.cut(clip)
        # Faster than indexing the table with the clip, by ten times.
        return np.frombuffer(bytearray(clip.tobytes()).translate(table), np.uint8).reshape(clip.shape)
    if name == "Color":
        clip, region = region.cut(clip), Region(0, 0, region.height, region.width)
    if name in FRAME_OPERATIONS:
        frame_operation = FRAME_OPERATIONS[name]
        return _map_frames(clip, lambda image: frame_operation(image, argument), region)
    return _transform(clip, MATRICES[name](argument, clip.shape[2], clip.shape[1]), operation, region)


def _transform(clip: np.ndarray, matrix: tuple[float, ...], operation: Operation, region: Region) -> np.ndarray:
    a, b, c, d, e, f = matrix
    # Pillow computes pixels from (0, 0) on; the matrix can move that to the region's corner. The coordinates are then
    # rounded otherwise, by 1e-13, which shows where an interpolated value is a whole number before it is truncated.
    # Only round arguments such as 0.21 make such values, but for flat areas, where coordinates do not matter.
    is_round = abs(operation.argument - round(operation.argument, 6)) < 1e-12
    y, x = (0, 0) if is_round else (region.y, region.x)
    matrix = (a, b, a * x + b * y + c, d, e, d * x + e * y + f)
    size = (region.x + region.width - x, region.y + region.height - y)
    affine = Image.Transform.AFFINE
    return _map_frames(
        clip,
        lambda image: image.transform(size, affine, matrix, operation.resample, fillcolor=FILL_COLOUR),
        region._replace(y=region.y - y, x=region.x - x),
    )


def _map_frames(clip: np.ndarray, function: Callable[[Image.Image], Image.Image], region: Region) -> np.ndarray:
    return region.cut(np.stack([np.asarray(function(Image.fromarray(frame))) for frame in clip]))
