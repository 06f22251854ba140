"""How much faster transcoded videos are read than their sources."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slowfast.datasets.preparation.transcode import Outcome
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.sampling import sparse_indices


@dataclass(frozen=True)
class SpeedUp:
    """Time to read the frames of a sparse clip, before and after; medians in seconds, and of the videos' ratios."""

    num_videos: int
    num_frames: int
    source_s: float
    target_s: float
    ratio: float


def measure_speed_up(
    root: Path, out: Path, outcomes: Sequence[Outcome], *, num_videos: int, num_frames: int
) -> SpeedUp:
    """Read a sparse clip from sources and results in turn, five times each, in this process.

    Args:
        root, out: folders of the sources and the results.
        outcomes: of ``transcode_folder``; good ones are measured.
        num_videos: how many, spread over the list; at least 1.
        num_frames: of a clip.
    """
    good = [outcome.source for outcome in outcomes if not outcome.cause]
    num_videos = min(num_videos, len(good))
    chosen = [good[i * len(good) // num_videos] for i in range(num_videos)]
    medians = []
    for source in chosen:
        paths = root / source, out / f"{os.path.splitext(source)[0]}.mp4"
        times = [[_time_clip(path, num_frames) for path in paths] for _ in range(5)]
        medians.append([statistics.median(column) for column in zip(*times, strict=True)])
    before, after = zip(*medians, strict=True)
    ratios = [one / other for one, other in medians]
    return SpeedUp(len(chosen), num_frames, *map(statistics.median, (before, after, ratios)))


def _time_clip(path: Path, num_frames: int) -> float:
    start = time.perf_counter()
    with VideoReader(path) as video:
        video.read(sparse_indices(video.num_frames, num_frames, 0))
    return time.perf_counter() - start
