"""Frames of a video file at another rate: those that ``ffmpeg -i VIDEO -r RATE`` would write as pictures."""

from collections.abc import Set
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np

from slowfast.datasets.reading.source import FrameSource, SourceOpener

# FFmpeg leaves out a frame that it would have to write more often.
MAX_REPEATS = 3600 * 30 * 30


class FrameTimes(NamedTuple):
    """When the frames of a video are shown.

    Attributes:
        shown: for each frame, in units of ``time_base`` since the file's start.
        durations: how long each is shown, in the same units; 0 if the file does not say.
        time_base: seconds.
        usual_fps: frames per second of most of the file; None if unknown.
    """

    shown: list[int]
    durations: list[int]
    time_base: Fraction
    usual_fps: Fraction | None = None


def resampled_indices(times: FrameTimes, fps: float | Fraction) -> list[int]:
    """The frames of a video that FFmpeg 5.1 writes at a constant rate, ``ffmpeg -i VIDEO -r FPS %06d.jpg``.

    A frame is written while the next place in the output lies more than 1.1 ticks of 1 / ``fps`` before its end, and is
    left out where its end lies more than 1.1 ticks before that place. A frame that comes late leaves the places before
    it to the frame that preceded it.

    Args:
        times: of all frames of the video, in the order in which they are shown.
        fps: frames per second of the output, above 0.

    Returns:
        For each frame of the output the frame of the video that it shows, in ascending order.
    """
    tick = 1 / Fraction(fps).limit_denominator(1001)
    indices: list[int] = []
    last_repeats = (0, 0, 0)  # of the preceding frame, when each of the last three came
    for idx, (shown, duration) in enumerate(zip(times.shown, times.durations, strict=True)):
        late = _in_ticks(shown * times.time_base, tick) - len(indices)
        num_own, num_repeats = _num_written(late, _ticks_shown(duration * times.time_base, tick, times.usual_fps))
        if num_own + num_repeats > MAX_REPEATS:
            continue
        last_repeats = (num_repeats, *last_repeats[:2])
        indices += [max(idx - 1, 0)] * num_repeats + [idx] * num_own
    # At the end of the file, FFmpeg repeats the last frame as often as it has lately repeated others.
    return indices + [len(times.shown) - 1] * sorted(last_repeats)[1]


def _in_ticks(seconds: Fraction, tick: Fraction) -> float:
    """A time in ticks, rounded to a fine fraction of one and moved off the middle between two, as FFmpeg does it."""
    scale = 2 ** min(max(30 - tick.denominator.bit_length(), 0), 16)
    fine = seconds / tick * scale
    rounded = int(abs(fine) + Fraction(1, 2)) * (-1 if fine < 0 else 1)
    return rounded / scale + ((rounded > 0) - (rounded < 0)) * 2.0**-17


def _ticks_shown(seconds: Fraction, tick: Fraction, usual_fps: Fraction | None) -> float:
    """How long a frame is shown: whole ticks; for less than half a tick, a tick at most, by the file's usual rate."""
    ticks = _rounded(float(seconds / tick))
    if ticks > 0:
        return ticks
    return min(float(1 / (usual_fps * tick)), 1.0) if usual_fps else 0.0


def _num_written(late: float, ticks_shown: float) -> tuple[int, int]:
    """How often a frame is written that comes ``late`` ticks after the next place, and before it the preceding one."""
    end = late + ticks_shown
    if end < -1.1:
        return 0, 0
    if end <= 1.1:
        return 1, 0
    num_places = _rounded(end)
    num_repeats = min(round(late - 0.6), num_places) if late > 1.1 else 0
    return num_places - num_repeats, num_repeats


def _rounded(ticks: float) -> int:
    """FFmpeg rounds these in single precision, halves to even."""
    return round(float(np.float32(ticks)))


class ResampledReader(FrameSource):
    """Reads a video file as if its frames had been extracted at another rate; a frame may come several times.

    Args:
        path: a video file.
        open_file: opens it as a ``VideoReader``.
        fps: frames per second.

    Raises:
        VideoReadError: if the file cannot be opened, or does not say when its frames are shown.
    """

    def __init__(self, path: str | Path, *, open_file: SourceOpener, fps: float) -> None:
        self.path = str(path)
        self._video = open_file(path)
        try:
            self._source_of = resampled_indices(self._video.frame_times(), fps)
        except BaseException:
            self._video.close()
            raise
        self.num_frames = len(self._source_of)
        self.truncated = self._video.truncated

    def _read_frames(self, wanted: Set[int]) -> dict[int, np.ndarray]:
        """Each frame of the file is decoded once."""
        frames = self._video._read_frames({self._source_of[idx] for idx in wanted})
        self.resized = self._video.resized
        return {idx: frames[self._source_of[idx]] for idx in wanted}

    def close(self) -> None:
        """Close the file."""
        super().close()
        self._video.close()
