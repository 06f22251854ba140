"""Frames of a video that lies as a folder of images."""

import os
import stat
from collections.abc import Set
from pathlib import Path

import numpy as np
from PIL import Image

from slowfast.datasets.reading.source import FrameSource, VideoReadError


class FrameFolderReader(FrameSource):
    """Reads chosen frames of one folder of images.

    Frame i is the file number i + 1: file numbers start at 1. EXIF rotation is not applied.

    Args:
        path: the folder.
        num_frames: as the list tells, at least 1; the folder is not counted.
        image_template: file name of a frame; its braces take the file number (DATA.IMAGE_TEMPLATE).

    Raises:
        VideoReadError: if there is no such folder.
    """

    def __init__(self, path: str | Path, num_frames: int, *, image_template: str = "{:05d}.jpg") -> None:
        self.path = str(path)
        self.num_frames = num_frames
        self.image_template = image_template
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError as error:
            raise VideoReadError(error.strerror) from None
        if not is_folder:
            raise VideoReadError("is not a folder of frames")

    def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        """Each file is decoded once."""
        return {idx: self._read_image(idx) for idx in sorted(wanted)}

    def _read_image(self, idx: int) -> np.ndarray:
        """uint8 (H, W, 3)."""
        name = self.image_template.format(idx + 1)
        try:
            with Image.open(Path(self.path, name)) as image:
                return np.asarray(image.convert("RGB"))
        except FileNotFoundError:
            raise VideoReadError(
                f"its file {name} is missing; the list says {self.num_frames} frames, and DATA.IMAGE_TEMPLATE is "
                f"{self.image_template}"
            ) from None
        # Pillow raises SyntaxError and ValueError, too, for damaged files.
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise VideoReadError(f"its file {name} cannot be read: {_cause(error)}") from None


def _cause(error: Exception) -> str:
    """The operating system's words, or Pillow's without the path that it appends."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is no image that Pillow knows"
    return getattr(error, "strerror", None) or str(error)
