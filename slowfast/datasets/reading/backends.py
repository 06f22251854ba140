"""What decodes video files: PyAV, or decord or torchcodec where they are installed and give the same frames.

Each of the two takes other frames than asked for where a file is out of the ordinary, without saying so. Here they read
only files of the kinds for which they were compared with PyAV and gave the same frames; any other counts as unreadable.
"""

import importlib
import logging
import os
from collections.abc import Callable, Set
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from slowfast.datasets.reading.orientation import UPRIGHT, frame_orientation
from slowfast.datasets.reading.source import SourceOpener, VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.errors import UserError

logger = logging.getLogger(__name__)

T = TypeVar("T")
# Gives uint8 (T, H, W, 3) of T frame indices.
Decode = Callable[[list[int]], np.ndarray]

# In avi, ts and flv files both take wrong frames for some; of MPEG-4, an FFmpeg of another version rounds otherwise.
CODECS = ("h264", "hevc", "vp9")
CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
PIXEL_FORMATS = ("yuv420p", "yuvj420p")


class CheckedReader(VideoReader):
    """Leaves decoding to another library, for files of which that is known to make no difference.

    Neither library tells which frames are damaged: they are read as it conceals the damage.

    Args:
        path: a file that FFmpeg reads.
        backend: "decord" or "torchcodec".
        allow_damaged, allow_streams, apply_rotation: as for ``VideoReader``; the first frame is always checked.

    Raises:
        VideoReadError: if the file cannot be opened, or the frames might not be those of PyAV.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        backend: str,
        allow_damaged: bool = False,
        allow_streams: bool = False,
        apply_rotation: bool = True,
    ) -> None:
        super().__init__(path, allow_damaged=allow_damaged, allow_streams=allow_streams, apply_rotation=apply_rotation)
        self.backend = backend
        try:
            reason = self._why_not_exact() or self._compare()
            if reason:
                raise VideoReadError(f"DATA.DECODING_BACKEND {backend} {reason}; pyav reads it")
        except VideoReadError:
            self.close()
            raise

    def _why_not_exact(self) -> str:
        """What about this file the other library may get wrong; "" for nothing."""
        container, codec = self._stream.container.format.name, self._stream.decoder.name
        height, width, pixels = *self._usual_size, self._stream.decoder.pix_fmt
        if codec not in CODECS or container not in CONTAINERS:
            return f"is not exact for {codec} in {container.partition(',')[0]} files"
        if self.truncated:
            return "is not exact for truncated files"
        if len(self._stream.container.streams.video) > 1:
            return "is not exact for files of several video streams"
        if self._index is None or not self._index.is_plain:
            return (
                "is not exact for edit lists, open groups of pictures, irregular timestamps and frames that change "
                "their size, such as this file has"
            )
        if pixels not in PIXEL_FORMATS or width % 2 or height % 2:
            return f"is not exact for frames of {height} x {width} pixels of the format {pixels}"
        if self._is_turned():
            return "is not exact for frames that are to be turned or mirrored"
        return ""

    def _is_turned(self) -> bool:
        try:
            return frame_orientation(self._decode_first()) != UPRIGHT
        except VideoReadError:  # by an odd angle
            return True

    def _compare(self) -> str:
        """Open the file with the other library; "" if it agrees on the number of frames and on the first one."""
        # From the root on, no name is taken for an address.
        path = self.path if self._allow_streams else os.path.abspath(self.path)
        num_frames, self._decode_frames = self._call(_OPEN[self.backend], path)
        if num_frames != self.num_frames:
            return f"finds {num_frames} of {self.num_frames} frames"
        # This also tells how the FFmpeg that it found converts colours.
        if not np.array_equal(self._read_frames({0})[0], super()._read_frames({0})[0]):
            return "gives another first frame"
        return ""

    def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        indices = sorted(wanted)
        return dict(zip(indices, self._call(self._decode_frames, indices), strict=True))

    def _call(self, function: Callable[..., T], argument: object) -> T:
        try:
            return function(argument)
        except Exception as error:  # each library has its own
            raise VideoReadError(f"{self.backend} failed: {str(error).strip().partition(chr(10))[0]}") from None


def _open_decord(path: str) -> tuple[int, Decode]:
    import decord

    video = decord.VideoReader(path, num_threads=1)
    return len(video), lambda indices: video.get_batch(indices).asnumpy()


def _open_torchcodec(path: str) -> tuple[int, Decode]:
    from torchcodec.decoders import VideoDecoder

    video = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1)
    return len(video), lambda indices: video.get_frames_at(indices).data.numpy()


_OPEN = {"decord": _open_decord, "torchcodec": _open_torchcodec}
_MODULES = {"decord": "decord", "torchcodec": "torchcodec.decoders"}


@cache
def video_reader(backend: str) -> SourceOpener:
    """What opens video files.

    Args:
        backend: DATA.DECODING_BACKEND. Published configs say decord, so without decord PyAV stands in, with a warning
            (one per process).

    Raises:
        UserError: if torchcodec is asked for and does not load.
    """
    if backend == "pyav":
        return VideoReader
    try:
        importlib.import_module(_MODULES[backend])
    except (ImportError, OSError, RuntimeError) as error:  # the library, or what it needs
        reason = str(error).strip().partition("\n")[0]
        if backend == "decord":
            logger.warning("DATA.DECODING_BACKEND decord: %s; pyav decodes instead, to the same frames", reason)
            return VideoReader
        raise UserError(
            f"DATA.DECODING_BACKEND {backend} does not load: {reason}; install it and the FFmpeg it needs, or set pyav"
        ) from None
    return partial(CheckedReader, backend=backend)
