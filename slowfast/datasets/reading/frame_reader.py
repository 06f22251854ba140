"""Frames of a video that lies as a folder of images, with the interface of ``VideoReader``."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from slowfast.datasets.reading.video_reader import VideoReadError, check_indices, stack_frames


class FrameFolderReader:
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

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Read frames; each file is decoded once.

        Args:
            indices: 0-based frame indices in any order, repeats allowed.

        Returns:
            uint8 (len(indices), H, W, 3), RGB, a new array.

        Raises:
            IndexError: if an index is outside [0, num_frames).
            VideoReadError: if a file is missing or damaged, or the files differ in size.
        """
        check_indices(indices, self.num_frames, self.path)
        return stack_frames({idx: self._read_image(idx) for idx in sorted(set(indices))}, indices)

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

    def close(self) -> None:
        """Nothing is open between reads."""

    def __enter__(self) -> "FrameFolderReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _cause(error: Exception) -> str:
    """The operating system's words, or Pillow's without the path that it appends."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "it is no image that Pillow knows"
    return getattr(error, "strerror", None) or str(error)
