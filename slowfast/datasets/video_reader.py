"""Frames of a video file, exactly, through PyAV."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.video.reformatter import VideoReformatter


class VideoReadError(Exception):
    """A video that cannot be read: the message says why, without the path."""


class VideoReader:
    """Reads chosen frames of one video file.

    Frame i is the i-th in presentation order, as if everything were decoded. Rotation metadata is not applied.
    Decoding is single-threaded: data loaders already run one worker a core.

    Args:
        path: a file that FFmpeg reads.

    Raises:
        VideoReadError: if the file cannot be opened or has no video stream or no frame.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            self._container = av.open(self.path)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise VideoReadError(_cause(error)) from None
        try:
            if not self._container.streams.video:
                raise VideoReadError("has no video stream")
            self._container.streams.video[0].thread_type = "NONE"
            # Kept from frame to frame: setting one up costs more than converting a small frame.
            self._converter = VideoReformatter()
            self.num_frames = self._count_frames()
            if self.num_frames == 0:
                raise VideoReadError("its video stream has no frames")
        except VideoReadError:
            self.close()
            raise

    def _count_frames(self) -> int:
        """Count packets, which costs no decoding; a container's own frame count may be missing or wrong."""
        stream = self._container.streams.video[0]
        try:
            return sum(1 for packet in self._container.demux(stream) if packet.size and not packet.is_discard)
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(f"cannot be demultiplexed: {_cause(error)}") from None

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """Decode frames.

        Args:
            indices: 0-based frame indices in any order, repeats allowed.

        Returns:
            uint8 (len(indices), H, W, 3), RGB, a new array.

        Raises:
            IndexError: if an index is outside [0, num_frames).
            VideoReadError: if the file is damaged before the last wanted frame, or wanted frames differ in size.
        """
        for idx in indices:
            if not 0 <= idx < self.num_frames:
                raise IndexError(f"frame {idx} of {self.path} is outside [0, {self.num_frames})")
        wanted, last = set(indices), max(indices)
        frames: dict[int, np.ndarray] = {}
        num_decoded = 0
        try:
            for idx, frame in enumerate(self._decode()):
                if idx in wanted:
                    frames[idx] = self._converter.reformat(frame, format="rgb24").to_ndarray()
                if idx == last:
                    break
                num_decoded = idx + 1
        except (av.FFmpegError, OSError) as error:
            raise VideoReadError(f"decoding failed at frame {num_decoded}: {_cause(error)}") from None
        if len(frames) != len(wanted):
            first_missing = min(wanted - frames.keys())
            raise VideoReadError(
                f"frame {first_missing} of {self.num_frames} cannot be decoded; is the file truncated?"
            )
        sizes = sorted({frame.shape[:2] for frame in frames.values()})
        if len(sizes) > 1:
            raise VideoReadError(f"its frames change their size: {' and '.join(f'{h} x {w}' for h, w in sizes)} pixels")
        return np.stack([frames[idx] for idx in indices])

    def _decode(self):
        """Decode all frames from the start, in presentation order."""
        self._container.seek(0)
        stream = self._container.streams.video[0]
        stream.codec_context.flush_buffers()
        return self._container.decode(stream)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _cause(error: Exception) -> str:
    """FFmpeg's words, or the operating system's, without the path that PyAV appends."""
    return getattr(error, "strerror", None) or str(error)
