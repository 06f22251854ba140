"""How frames are to be turned or mirrored before they are shown, as cameras note it beside the pictures."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import av
import numpy as np

from slowfast.datasets.reading.source import VideoReadError


class Orientation(NamedTuple):
    """What makes a stored picture upright, in this order.

    Attributes:
        is_transposed: rows become columns.
        is_flipped_vertically: the first row becomes the last.
        is_flipped_horizontally: the first column becomes the last.
    """

    is_transposed: bool = False
    is_flipped_vertically: bool = False
    is_flipped_horizontally: bool = False

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Turn a picture (H, W, C); the result is a view, (W, H, C) if it is transposed."""
        if self.is_transposed:
            picture = picture.swapaxes(0, 1)
        rows = slice(None, None, -1 if self.is_flipped_vertically else 1)
        columns = slice(None, None, -1 if self.is_flipped_horizontally else 1)
        return picture[rows, columns]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what a stored picture of this size becomes, and the other way round."""
        return (width, height) if self.is_transposed else (height, width)


UPRIGHT = Orientation()


def frame_orientation(frame: av.VideoFrame) -> Orientation:
    """How a decoded frame is to be turned, by its display matrix.

    Raises:
        VideoReadError: for an angle that is no multiple of 90 degrees, or one that PyAV does not tell whole.
    """
    try:
        side_data = frame.side_data
        matrix = side_data["DISPLAYMATRIX"] if len(side_data) else None
    except KeyError:
        return UPRIGHT
    except ValueError:  # beside the matrix, if there is one, stand data of a kind that PyAV does not know
        if frame.rotation:
            turns = f"turned by {frame.rotation} degrees or mirrored, PyAV cannot tell"
            raise VideoReadError(_refusal(turns)) from None
        return UPRIGHT
    return UPRIGHT if matrix is None else matrix_orientation(np.frombuffer(matrix, np.int32).tolist())


def matrix_orientation(matrix: Sequence[int]) -> Orientation:
    """What FFmpeg's programs do for a display matrix.

    Args:
        matrix: nine numbers, row by row, as in the header of a track (ISO/IEC 14496-12, 8.3.2): a point (x, y) of the
            stored picture is shown at (m0 x + m3 y + m6, m1 x + m4 y + m7).

    Raises:
        VideoReadError: for an angle that is no multiple of 90 degrees.
    """
    m0, m1, _, m3, m4 = matrix[:5]
    if not (m0 or m3) or not (m1 or m4):  # shows a line or a point; FFmpeg leaves the picture as it is
        return UPRIGHT
    angle = round(math.degrees(math.atan2(m1 / math.hypot(m1, m4), m0 / math.hypot(m0, m3)))) % 360
    if angle % 180 == 0:
        return Orientation(is_flipped_vertically=m4 < 0, is_flipped_horizontally=m0 < 0)
    if angle % 90 == 0:
        return Orientation(True, is_flipped_vertically=m1 < 0, is_flipped_horizontally=m3 < 0)
    raise VideoReadError(_refusal(f"turned by {angle} degrees; accepted: multiples of 90"))


def _refusal(what: str) -> str:
    return f"its frames are to be shown {what}; DATA.APPLY_ROTATION False reads them as they are stored"
