"""Which frames make a clip: the published figures, and what holds for videos of any length."""

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowfast.datasets.sampling import dense_indices, sparse_indices

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "temporal_sampling.json").read_text())

num_frames = st.one_of(st.integers(1, 12), st.integers(1, 2000))
clip_lens = st.integers(1, 64)
strides = st.integers(1, 40)
seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("case", GOLDEN["sparse_test"])
def test_sparse_test_views_are_the_published_ones(case: dict):
    indices = sparse_indices(case["video_frames"], case["num_frames"], case["clip_idx"], case["num_clips"])
    assert indices == case["indices"]


@pytest.mark.parametrize("case", GOLDEN["dense_test_use_offset"])
def test_dense_test_views_with_an_offset_are_the_published_ones(case: dict):
    indices = dense_indices(
        case["video_frames"],
        case["num_frames"],
        case["sampling_rate"],
        case["clip_idx"],
        case["num_clips"],
        has_offset_views=True,
    )
    assert indices == case["indices"]


def test_the_golden_file_has_cases_of_both_kinds():
    assert len(GOLDEN["sparse_test"]) >= 20 and len(GOLDEN["dense_test_use_offset"]) >= 10


def test_dense_test_views_without_an_offset_start_at_equal_shares_of_the_free_range():
    # 100 frames leave 100 - 8 * 4 = 68 free; view k of 4 starts at 17 k.
    starts = [dense_indices(100, 8, 4, view_idx, 4)[0] for view_idx in range(4)]
    assert starts == [0, 17, 34, 51]
    # 31 frames from the first to the last, spread over 7 gaps and truncated.
    assert dense_indices(100, 8, 4, 0, 4) == [0, 4, 8, 13, 17, 22, 26, 31]


def test_dense_clips_of_a_short_video_repeat_its_last_frame():
    assert dense_indices(5, 4, 4, 2, 3) == [0, 4, 4, 4]


SAMPLERS = {
    "sparse": lambda stride: sparse_indices,
    "dense": lambda stride: partial(dense_indices, stride=stride),
    "dense with offset": lambda stride: partial(dense_indices, stride=stride, has_offset_views=True),
}


def assert_is_a_clip(indices: list[int], clip_len: int, num_video_frames: int):
    assert len(indices) == clip_len
    assert all(type(idx) is int for idx in indices)
    assert indices == sorted(indices)
    assert min(indices) >= 0 and max(indices) < num_video_frames


@pytest.mark.parametrize("make_sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
@given(n=num_frames, clip_len=clip_lens, stride=strides, num_views=st.integers(1, 12), seed=seeds)
def test_any_video_gives_clips_in_order_and_in_range(
    make_sampler: Callable, n: int, clip_len: int, stride: int, num_views: int, seed: int
):
    sampler = make_sampler(stride)
    for view_idx in range(num_views):
        assert_is_a_clip(sampler(n, clip_len=clip_len, view_idx=view_idx, num_views=num_views), clip_len, n)
    rng = np.random.default_rng(seed)
    assert_is_a_clip(sampler(n, clip_len=clip_len, view_idx=None, num_views=num_views, rng=rng), clip_len, n)


@given(n=num_frames, clip_len=clip_lens, seed=seeds)
def test_sparse_training_draws_within_the_segment_and_its_bounds(n: int, clip_len: int, seed: int):
    segment = (n - 1) / clip_len
    rng = np.random.default_rng(seed)
    for _ in range(5):
        for i, idx in enumerate(sparse_indices(n, clip_len, None, rng=rng)):
            assert round(segment * i) <= idx <= round(segment * (i + 1))


def test_sparse_training_reaches_every_frame_of_a_segment_alike():
    # 13 frames, 3 segments: bounds 0, 4, 8, 12, each bound belonging to both of its segments.
    rng = np.random.default_rng(0)
    draws = np.array([sparse_indices(13, 3, None, rng=rng) for _ in range(5000)])
    for i in range(3):
        values, counts = np.unique(draws[:, i], return_counts=True)
        assert values.tolist() == list(range(4 * i, 4 * i + 5))
        assert counts.min() > 850 and counts.max() < 1150  # 1000 expected


@given(n=num_frames, clip_len=clip_lens, stride=strides, seed=seeds)
def test_dense_training_keeps_the_stride_and_ends_within_the_free_range(n: int, clip_len: int, stride: int, seed: int):
    indices = dense_indices(n, clip_len, stride, None, rng=np.random.default_rng(seed))
    free = max(n - clip_len * stride, 0)
    assert indices[0] <= free
    # T frames spread over T * stride - 1 frames: neighbours are a little more than the stride apart, until the end.
    spacing = (clip_len * stride - 1) / max(clip_len - 1, 1)
    for one, other in pairwise(indices):
        assert other == n - 1 or int(spacing) <= other - one <= int(spacing) + 1


def test_dense_training_reaches_the_whole_free_range():
    rng = np.random.default_rng(0)
    starts = {dense_indices(40, 4, 8, None, rng=rng)[0] for _ in range(500)}
    assert starts == set(range(8))  # U(0, 8), truncated


@pytest.mark.parametrize("make_sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
@given(n=num_frames, seed=seeds)
def test_training_draws_depend_on_the_generator_alone(make_sampler: Callable, n: int, seed: int):
    one, other = (
        make_sampler(3)(n, clip_len=8, view_idx=None, num_views=1, rng=np.random.default_rng(seed)) for _ in range(2)
    )
    assert one == other


@pytest.mark.parametrize("make_sampler", SAMPLERS.values(), ids=SAMPLERS.keys())
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_video_frames": 0, "view_idx": 0}, "a video of 0 frames has none to sample"),
        ({"num_video_frames": 9, "view_idx": None}, r"training \(view_idx None\) needs rng"),
        ({"num_video_frames": 9, "view_idx": 4}, r"view_idx 4 is outside \[0, 4\)"),
        ({"num_video_frames": 9, "view_idx": -1}, r"view_idx -1 is outside \[0, 4\)"),
    ],
)
def test_arguments_out_of_range_are_refused(make_sampler: Callable, arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        make_sampler(2)(**arguments, clip_len=8, num_views=4)
