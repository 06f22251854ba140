"""Which frames of a video make a clip: index arithmetic without any decoding."""

import math
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch

from slowfast.datasets.records import TimeSpan


class FrameSampler(Protocol):
    """Chooses the frames of one clip."""

    def __call__(
        self, num_video_frames: int, view_idx: int | None, num_views: int, rng: np.random.Generator | None
    ) -> list[int]:
        """Return T non-decreasing frame indices; ``view_idx`` None draws with ``rng`` (training).

        A sampler for untrimmed videos also takes ``span`` in training.
        """


def _check(num_video_frames: int, view_idx: int | None, num_views: int, rng: np.random.Generator | None) -> None:
    if num_video_frames < 1:
        raise ValueError(f"a video of {num_video_frames} frames has none to sample")
    if view_idx is None and rng is None:
        raise ValueError("training (view_idx None) needs rng")
    if view_idx is not None and not 0 <= view_idx < num_views:
        raise ValueError(f"view_idx {view_idx} is outside [0, {num_views})")


def sparse_indices(
    num_video_frames: int,
    clip_len: int,
    view_idx: int | None,
    num_views: int = 1,
    *,
    span: TimeSpan | None = None,
    rng: np.random.Generator | None = None,
) -> list[int]:
    """Pick one frame from each of ``clip_len`` equal segments of a video (TSN sparse sampling, arXiv 1608.00859).

    Args:
        num_video_frames: frames in the video, at least 1.
        clip_len: frames wanted (T).
        view_idx: 0-based temporal test view; None samples randomly inside each segment (training).
        num_views: temporal views per video; unused in training.
        span: the part of an untrimmed video to sample, in training only; None for the whole.
        rng: source of the random draws; needed in training.

    Returns:
        T non-decreasing frame indices in [0, num_video_frames - 1]; short videos repeat frames.

    Raises:
        ValueError: if the video is empty, ``view_idx`` is outside [0, num_views) or comes with a ``span``, or training
            has no ``rng``.
    """
    _check(num_video_frames, view_idx, num_views, rng)
    first_frame, num_frames = 0, num_video_frames
    if span is not None:
        if view_idx is not None:
            raise ValueError("test views are of the whole video, and take no span")
        # As published: frames per second as the list tells, and a number of frames that is not rounded.
        first_frame = int(num_video_frames / span.total_s * span.start_s)
        num_frames = num_video_frames / span.total_s * (span.end_s - span.start_s)
    segment = max(num_frames - 1, 0) / clip_len
    # Python's round() takes halves to even, as the published sampling does.
    bounds = [round(segment * i) for i in range(clip_len + 1)]
    if view_idx is None:
        # One integer of [start, end], both included. Neighbouring segments share a bound, so the order is kept.
        draws = [first_frame + int(rng.integers(start, end + 1)) for start, end in pairwise(bounds)]
        return [min(idx, num_video_frames - 1) for idx in draws]
    offset = segment / (num_views + 1) * (view_idx + 1)
    return [min(int(start + offset), num_video_frames - 1) for start in bounds[:-1]]


def dense_indices(
    num_video_frames: int,
    clip_len: int,
    stride: int,
    view_idx: int | None,
    num_views: int = 1,
    *,
    has_offset_views: bool = False,
    rng: np.random.Generator | None = None,
) -> list[int]:
    """Pick frames ``stride`` apart (SlowFast's dense sampling, arXiv 1812.03982).

    Args:
        num_video_frames: frames in the video, at least 1.
        clip_len: frames wanted (T).
        stride: distance of two frames, in frames of the file.
        view_idx: 0-based temporal test view; None draws the start at random (training).
        num_views: temporal views per video; unused in training.
        has_offset_views: spread the test views from the first to the last possible start (a single view lies in the
            middle) instead of starting view k at k / num_views of the free range.
        rng: source of the random draw; needed in training.

    Returns:
        T non-decreasing frame indices in [0, num_video_frames - 1]; short videos repeat the last frame.

    Raises:
        ValueError: as ``sparse_indices``.
    """
    _check(num_video_frames, view_idx, num_views, rng)
    span = clip_len * stride
    free = max(num_video_frames - span, 0)
    if view_idx is None:
        start = rng.uniform(0, free)
    elif not has_offset_views:
        start = free * view_idx / num_views
    elif num_views == 1:
        start = math.floor(free / 2)
    else:
        start = view_idx * math.floor(free / (num_views - 1))
    # torch.linspace in float32, truncated: the published indices hang on its rounding.
    indices = torch.linspace(start, start + span - 1, clip_len).long()
    return indices.clamp(0, num_video_frames - 1).tolist()
