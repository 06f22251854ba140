"""Training on a part of an untrimmed video: the published rule, and what holds for any part of any video."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowfast.datasets.clip_dataset import EvalClipDataset, TrainClipDataset
from slowfast.datasets.lists.video_list import VideoList
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import SampleKey, TimeSpan, VideoRecord
from slowfast.datasets.sampling import sparse_indices
from slowfast.datasets.transforms.pipeline import EvalTransform, TrainTransform
from tests.videos import number_of, write_video


def published_bounds(num_frames: int, clip_len: int, span: TimeSpan) -> list[tuple[int, int]]:
    """First and last index of each segment, written down from the rule."""
    part = num_frames / span.total_s * (span.end_s - span.start_s)
    shift = int(num_frames / span.total_s * span.start_s)
    segment = (part - 1) / clip_len
    ends = [min(round(segment * i) + shift, num_frames - 1) for i in range(clip_len + 1)]
    return list(pairwise(ends))


def test_segments_are_those_of_the_part():
    # 300 frames in 10 s; seconds 4 to 6 are 60 frames from frame 120 on, 59 / 4 = 14.75 per segment.
    span = TimeSpan(10.0, 4.0, 6.0)
    assert published_bounds(300, 4, span) == [(120, 135), (135, 150), (150, 164), (164, 179)]
    rng = np.random.default_rng(0)
    draws = np.array([sparse_indices(300, 4, None, span=span, rng=rng) for _ in range(3000)])
    assert draws.min(axis=0).tolist() == [120, 135, 150, 164]
    assert draws.max(axis=0).tolist() == [135, 150, 164, 179]


def test_the_number_of_frames_is_not_rounded():
    # 3.1 s of 10 frames in 10 s are 3.1 frames: 2.1 / 1 per segment rounds to 2; 3 frames would give 2, 3.6 give 3.
    for length_s, last in ((3.1, 2), (3.4, 2), (3.6, 3)):
        rng = np.random.default_rng(0)
        draws = {sparse_indices(10, 1, None, span=TimeSpan(10.0, 0.0, length_s), rng=rng)[0] for _ in range(200)}
        assert draws == set(range(last + 1))


@st.composite
def spans(draw: st.DrawFn) -> TimeSpan:
    total_s = draw(st.floats(0.1, 1000))
    start_s = draw(st.floats(0, total_s * 0.999))
    return TimeSpan(total_s, start_s, start_s + draw(st.floats(1e-3, 2000)))


@given(n=st.integers(1, 3000), clip_len=st.integers(1, 64), span=spans(), seed=st.integers(0, 2**32))
def test_any_part_of_any_video_gives_clips_in_order_and_in_range(n: int, clip_len: int, span: TimeSpan, seed: int):
    indices = sparse_indices(n, clip_len, None, span=span, rng=np.random.default_rng(seed))
    assert len(indices) == clip_len
    assert indices == sorted(indices)
    assert indices[0] >= 0 and indices[-1] < n
    if n / span.total_s * (span.end_s - span.start_s) >= 1:
        for idx, (first, last) in zip(indices, published_bounds(n, clip_len, span), strict=True):
            assert first <= idx <= last


def test_a_part_shorter_than_a_frame_gives_that_frame():
    span = TimeSpan(10.0, 5.0, 5.01)
    assert sparse_indices(100, 3, None, span=span, rng=np.random.default_rng(0)) == [50, 50, 50]


def test_test_views_take_no_part():
    with pytest.raises(ValueError, match="test views are of the whole video"):
        sparse_indices(100, 3, 0, span=TimeSpan(10.0, 5.0, 6.0))


def sampler(num_video_frames: int, **arguments) -> list[int]:
    return sparse_indices(num_video_frames, 4, **arguments)


def test_training_stays_inside_the_part_and_evaluation_sees_the_whole_video(tmp_path: Path):
    path = write_video(tmp_path / "untrimmed.mp4", 40)
    record = VideoRecord(str(path), 0, total_s=8.0, start_s=2.0, end_s=4.0)
    whole = TrainTransform(
        size=16, area_range=(1.0, 1.0), aspect_range=(1.0, 1.0), short_side_range=(16, 16), flip_prob=0.0
    )
    videos = VideoList(records=[record], open_source=VideoReader, sampler=sampler)
    train = TrainClipDataset([videos], transform=whole, seed=0)
    seen = set()
    for epoch in range(12):
        view = train[SampleKey(epoch, 0)].views[0]
        numbers = [number_of(frame) for frame in view.permute(1, 2, 3, 0).numpy()]
        assert numbers == sorted(numbers)
        seen |= set(numbers)
    assert min(seen) >= 10 and max(seen) <= 19 and len(seen) > 5  # 10 frames from frame 10 on
    evaluation = EvalClipDataset([videos], transform=EvalTransform(size=16))
    view = evaluation[SampleKey(0, 0)].views[0]
    numbers = [number_of(frame) for frame in view.permute(1, 2, 3, 0).numpy()]
    assert numbers == sparse_indices(40, 4, 0) and numbers[-1] > 30
