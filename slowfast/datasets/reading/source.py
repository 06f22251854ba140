"""The type of whatever yields the frames of one video: a file, a folder of images, or what somebody adds."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from types import TracebackType
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Source = TypeVar("Source", bound="FrameSource")


class VideoReadError(Exception):
    """A video that cannot be read: the message says why, without the path."""


class FrameSource(ABC):
    """Frames of one video by their number; a context manager that closes it.

    A subclass sets ``path`` and ``num_frames`` and implements ``_read_frames``. What all sources have in common stands
    here alone: indices are checked, repeated ones are read once, frames are stacked.

    Attributes:
        path: what messages call the video.
        num_frames: of the whole video, at least 1; frame 0 is the first one shown.
        truncated: why the video ends early, as far as that is known; "" for a whole one. Its frames end before the cut.
        resized: how frames that were read differ from the first one in size, to which they are scaled; "" if none does.
    """

    path: str
    num_frames: int
    truncated: str = ""
    resized: str = ""
    _is_closed = False

    def read(self, indices: Sequence[int]) -> Tensor:
        """Read frames.

        Args:
            indices: 0-based, at least one, in any order, repeats allowed.

        Returns:
            uint8 (len(indices), H, W, 3), RGB, contiguous, in memory of its own.

        Raises:
            IndexError: if an index is outside [0, num_frames).
            ValueError: if there is no index, or the source is closed.
            VideoReadError: if a wanted frame cannot be read, or wanted frames differ in size.
        """
        if self._is_closed:
            raise ValueError(f"{self.path} is closed; open it again to read frames")
        if len(indices) == 0:
            raise ValueError(f"no frame of {self.path} is asked for; give at least one index")
        for idx in indices:
            if not 0 <= idx < self.num_frames:
                raise IndexError(f"frame {idx} of {self.path} is outside [0, {self.num_frames})")
        return torch.from_numpy(_stack(self._read_frames(set(indices)), indices))

    @abstractmethod
    def _read_frames(self, wanted: Set[int]) -> Mapping[int, np.ndarray]:
        """Frames by their index, uint8 (H, W, 3) each; indices are distinct and inside the video.

        Raises:
            VideoReadError: if one of them cannot be read.
        """

    def close(self) -> None:
        """Let go of the video; a second time does nothing."""
        self._is_closed = True

    def __enter__(self: Source) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


# Takes the path of a video, and for a folder of frames their number; raises VideoReadError.
SourceOpener = Callable[..., FrameSource]


def _stack(frames: Mapping[int, np.ndarray], indices: Sequence[int]) -> np.ndarray:
    """Frames by index, uint8 (H, W, 3) each, to uint8 (len(indices), H, W, 3)."""
    for idx, frame in frames.items():
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
            raise VideoReadError(f"frame {idx} is {frame.dtype} {frame.shape}; accepted: uint8 (H, W, 3)")
    if missing := sorted(set(indices) - set(frames)):
        raise VideoReadError(f"frame {missing[0]} was asked for and not given by its source")
    sizes = sorted({frame.shape[:2] for frame in frames.values()})
    if len(sizes) > 1:
        raise VideoReadError(f"its frames change their size: {' and '.join(f'{h} x {w}' for h, w in sizes)} pixels")
    return np.stack([frames[idx] for idx in indices])
