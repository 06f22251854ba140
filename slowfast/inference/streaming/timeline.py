"""What a long video shows, and when: intervals of one class each, as CSV, JSON, subtitles."""

import csv
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np

from slowfast.datasets import VideoReader
from slowfast.datasets.reading.source import VideoReadError
from slowfast.errors import UserError
from slowfast.inference.classifier import VideoClassifier
from slowfast.inference.results import WindowPrediction
from slowfast.runtime.files import write_text


@dataclass(frozen=True)
class Interval:
    """A part of a video of which the model says one thing.

    Attributes:
        start_s, end_s: since the video's first frame.
        name: of the most probable class.
        probability: mean over the windows.
        num_windows: that agree, one after the other.
    """

    start_s: float
    end_s: float
    name: str
    probability: float
    num_windows: int = 1


def timeline(
    classifier: VideoClassifier,
    path: str,
    window_s: float | None = None,
    stride_s: float | None = None,
    *,
    fps: float | None = None,
) -> tuple[list[Interval], list[str]]:
    """Classify a video file window by window, and join neighbouring windows of the same class.

    A window speaks for the time around its middle, up to half-way to its neighbours; the first and the last one speak
    for the beginning and the end, too.

    Args:
        classifier: that classifies the windows; of those that join frames at the end only, frames are computed once.
        path: of a video file.
        window_s, stride_s, fps: as of ``VideoClassifier.stream``.

    Returns:
        The intervals, which follow one another without gaps, and what is to be said: what was rounded, or left out.

    Raises:
        UserError: if the video cannot be read.
    """
    stream = classifier.stream(path, window_s, stride_s, topk=1, fps=fps)
    windows = list(stream)
    told = [*stream.notes, *stream.summary()]
    if windows:
        return join_windows(windows, stream.end_s), told
    if stream.end_s == 0:
        raise UserError(f"{path}: {'; '.join(told)}")
    name, probability = classifier.predict(path, topk=1, views="1x1").classes[0]
    told.append("the whole video is classified as one clip")
    return [Interval(0.0, stream.end_s, name, probability)], told


def join_windows(windows: Sequence[WindowPrediction], end_s: float) -> list[Interval]:
    """Intervals from windows in their order, at least one, of a video that ends at ``end_s``."""
    middles = [(window.start_s + window.end_s) / 2 for window in windows]
    bounds = [0.0, *((one + other) / 2 for one, other in pairwise(middles)), end_s]
    intervals: list[Interval] = []
    for window, (start_s, stop_s) in zip(windows, pairwise(bounds), strict=True):
        name, probability = window.classes[0]
        last = intervals[-1] if intervals else None
        if last is None or last.name != name:
            intervals.append(Interval(start_s, stop_s, name, probability))
            continue
        total = last.probability * last.num_windows + probability
        count = last.num_windows + 1
        intervals[-1] = replace(last, end_s=stop_s, probability=total / count, num_windows=count)
    return intervals


def key_frames(path: str, times_s: Sequence[float], end_s: float) -> list[np.ndarray]:
    """The frames that are shown at some times between 0 and the end of a video: uint8 (H, W, 3) each.

    Raises:
        UserError: if they cannot be read.
    """
    try:
        with VideoReader(path) as video:
            starts_s = _starts(video, end_s)
            return list(video.read([max(bisect_right(starts_s, at) - 1, 0) for at in times_s]).numpy())
    except VideoReadError as error:
        raise UserError(f"{path}: has no key frames: {error}") from None


def _starts(video: VideoReader, end_s: float) -> list[float]:
    """When each frame begins to be shown, in seconds since the first one; evenly where the file does not say it."""
    try:
        times = video.frame_times()
    except VideoReadError:
        return [number * end_s / video.num_frames for number in range(video.num_frames)]
    return [float((shown - times.shown[0]) * times.time_base) for shown in times.shown]


def as_csv(intervals: Sequence[Interval]) -> str:
    """A header and one line per interval."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["start_s", "end_s", "class", "probability", "windows"])
    for each in intervals:
        rows.writerow(
            [f"{each.start_s:.3f}", f"{each.end_s:.3f}", each.name, f"{each.probability:.4f}", each.num_windows]
        )
    return text.getvalue()


def as_json(intervals: Sequence[Interval]) -> str:
    """A list of objects."""
    return json.dumps([asdict(each) for each in intervals], indent=1, ensure_ascii=False) + "\n"


def as_srt(intervals: Sequence[Interval]) -> str:
    """Subtitles that show the class and its probability."""
    return "\n".join(_subtitles(intervals))


def _subtitles(intervals: Sequence[Interval]) -> Iterator[str]:
    for number, each in enumerate(intervals, 1):
        name = " ".join(each.name.split()).replace("-->", "->")
        yield f"{number}\n{_clock(each.start_s)} --> {_clock(each.end_s)}\n{name} ({100 * each.probability:.0f} %)\n"


def _clock(seconds: float) -> str:
    """hours:minutes:seconds,thousandths."""
    total_ms = round(1000 * seconds)
    total_s, ms = divmod(total_ms, 1000)
    return f"{total_s // 3600:02d}:{total_s // 60 % 60:02d}:{total_s % 60:02d},{ms:03d}"


FORMS: Mapping[str, Callable[[Sequence[Interval]], str]] = {"csv": as_csv, "json": as_json, "srt": as_srt}


def write_timeline(intervals: Sequence[Interval], path: Path, form: str) -> None:
    """Write a file in one of ``FORMS``; it appears whole or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    write_text(path, FORMS[form](intervals))
