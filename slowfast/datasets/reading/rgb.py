"""Decoded frames to RGB, upright and of one size: the pixels that FFmpeg's own programs show."""

from functools import cache

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from slowfast.datasets.reading.container import cause_of
from slowfast.datasets.reading.orientation import UPRIGHT, Orientation, frame_orientation
from slowfast.datasets.reading.scaling import FrameScaler
from slowfast.datasets.reading.source import VideoReadError

_BT2020_CONSTANT_LUMINANCE = 10  # its number in ITU-T H.273, table 4


class RgbConverter:
    """Converts the frames of one video.

    Args:
        apply_rotation: turn and mirror frames as their file says.
    """

    def __init__(self, *, apply_rotation: bool = True) -> None:
        self._apply_rotation = apply_rotation
        self._reformatter = VideoReformatter()
        self._scaler = FrameScaler("rgb24")

    def __call__(self, frame: av.VideoFrame, size: tuple[int, int] | None = None) -> np.ndarray:
        """Convert a frame.

        Args:
            frame: of any format.
            size: height and width of the result; None for those of the frame.

        Returns:
            uint8 (H, W, 3), a view of FFmpeg's memory.

        Raises:
            VideoReadError: for an orientation that cannot be applied, or colours that FFmpeg does not convert.
        """
        orientation = self.orientation(frame)
        height, width = (frame.height, frame.width) if size is None else orientation.size(*size)
        is_scaled = (height, width) != (frame.height, frame.width)
        try:
            if is_scaled or not _is_plain(frame):
                rgb = self._scaler(frame, height, width)
            else:
                rgb = self._reformatter.reformat(frame, format="rgb24", interpolation=Interpolation.BICUBIC, threads=1)
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(
                f"FFmpeg does not convert its colours (pixel format {frame.format.name}, matrix "
                f"{int(frame.colorspace)}): {cause_of(error)}"
            ) from None
        plane = rgb.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        return orientation.apply(rows[: rgb.height, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3))

    def orientation(self, frame: av.VideoFrame) -> Orientation:
        """How a frame is turned.

        Raises:
            VideoReadError: if that cannot be applied.
        """
        return frame_orientation(frame) if self._apply_rotation else UPRIGHT


def _is_plain(frame: av.VideoFrame) -> bool:
    """Whether ``reformat``, which is quicker, converts a frame as the program does.

    Where values have 8 bits, it does not matter where chroma samples lie. It knows fewer matrices of colours, and of
    interlaced frames it converts each field by itself.
    """
    is_known = int(frame.colorspace) != _BT2020_CONSTANT_LUMINANCE
    return is_known and not frame.interlaced_frame and _has_8_bits(frame.format.name)


@cache
def _has_8_bits(pixel_format: str) -> bool:
    return all(component.bits <= 8 for component in av.VideoFormat(pixel_format).components)
