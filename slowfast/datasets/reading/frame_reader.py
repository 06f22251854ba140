"""Frames of a video that lies as a folder of images."""

import os
import stat
from collections.abc import Set
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from slowfast.datasets.reading.source import FrameSource, VideoReadError

_EXIF_ORIENTATION = 0x0112  # its number in EXIF 2.3, 4.6.4; 1 is upright


def why_misnumbered(folder: str | Path, image_template: str, image_start: int) -> str:
    """What tells that a folder's first file has another number than ``image_start``; "" for nothing.

    Such a folder would be read without an error, all but its last frame, and every frame would be its neighbour.
    """

    def exists(number: int) -> bool:
        return os.path.exists(os.path.join(folder, image_template.format(number)))

    first = image_start
    if image_start > 0 and exists(image_start - 1):
        first = image_start - 1
    elif not exists(image_start) and exists(image_start + 1):
        first = image_start + 1
    if first == image_start:
        return ""
    return (
        f"its files are numbered from {first} on ({image_template.format(first)}), and DATA.IMAGE_START is "
        f"{image_start}; set DATA.IMAGE_START {first}"
    )


class FrameFolderReader(FrameSource):
    """Reads chosen frames of one folder of images.

    Args:
        path: the folder.
        num_frames: as the list tells, at least 1; the folder is not counted.
        image_template: file name of a frame; its braces take the file number (DATA.IMAGE_TEMPLATE).
        image_start: number of the file that is frame 0 (DATA.IMAGE_START).
        apply_rotation: turn and mirror images as their EXIF data say.

    Raises:
        VideoReadError: if there is no such folder, or its files have other numbers.
    """

    def __init__(
        self,
        path: str | Path,
        num_frames: int,
        *,
        image_template: str = "{:05d}.jpg",
        image_start: int = 1,
        apply_rotation: bool = True,
    ) -> None:
        self.path = str(path)
        self.num_frames = num_frames
        self.image_template, self.image_start, self.apply_rotation = image_template, image_start, apply_rotation
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError as error:
            raise VideoReadError(error.strerror) from None
        if not is_folder:
            raise VideoReadError("is not a folder of frames")
        if cause := why_misnumbered(path, image_template, image_start):
            raise VideoReadError(cause)

    def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        """Each file is decoded once."""
        return {idx: self._read_image(idx) for idx in sorted(wanted)}

    def _read_image(self, idx: int) -> np.ndarray:
        """uint8 (H, W, 3)."""
        name = self.image_template.format(idx + self.image_start)
        try:
            return read_image(Path(self.path, name), apply_rotation=self.apply_rotation)
        except FileNotFoundError:
            raise VideoReadError(
                f"its file {name} is missing; the list says {self.num_frames} frames, and DATA.IMAGE_TEMPLATE is "
                f"{self.image_template}"
            ) from None


def read_image(path: Path, *, apply_rotation: bool = True) -> np.ndarray:
    """Read an image file as uint8 (H, W, 3), RGB.

    Args:
        path: of the file.
        apply_rotation: turn and mirror it as its EXIF data say.

    Raises:
        FileNotFoundError: if there is none.
        VideoReadError: if it cannot be read otherwise.
    """
    try:
        with Image.open(path, formats=_formats()) as image:
            return np.asarray(_to_rgb(image, apply_rotation=apply_rotation))
    except FileNotFoundError:
        raise
    # Pillow raises SyntaxError and ValueError, too, for damaged files.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise VideoReadError(f"its file {path.name} cannot be read: {_cause(error)}") from None


@cache
def _formats() -> tuple[str, ...]:
    """What Pillow may open: all but EPS, which is a program that it has Ghostscript run, whatever the suffix."""
    Image.init()
    return tuple(name for name in Image.ID if name != "EPS")


def _to_rgb(image: Image.Image, *, apply_rotation: bool) -> Image.Image:
    """8 bits for each of red, green and blue; what is transparent has the colours that are stored beneath.

    Raises:
        ValueError: for values of more than 8 bits, which Pillow would cut off at 255.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        raise ValueError(f"its values have more than 8 bits (Pillow's mode {image.mode}); convert it to 8 bits")
    if apply_rotation and image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # what Pillow advises, else with a warning for each image
    return image.convert("RGB")


def _cause(error: Exception) -> str:
    """The operating system's words, or Pillow's without the path that it appends."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is no image that Pillow knows"
    return getattr(error, "strerror", None) or str(error)
