"""Frames are read exactly, from any place, and what cannot be read says why."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slowfast.datasets.reading.backends import CheckedReader
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from tests.videos import decode_all, number_of, rename_codec, truncate, write_video

NUM_FRAMES = 75


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """75 frames in groups of 30, with two B-frames between others."""
    return write_video(tmp_path_factory.mktemp("videos") / "a video.mp4", NUM_FRAMES)


def test_the_frames_are_those_of_a_whole_decode(video: Path):
    expected, kinds = decode_all(video)
    assert kinds.count("B") > NUM_FRAMES / 2 and [i for i, kind in enumerate(kinds) if kind == "I"] == [0, 30, 60]
    with VideoReader(video) as reader:
        assert reader.num_frames == NUM_FRAMES
        frames = reader.read(range(NUM_FRAMES))
    assert frames.dtype == torch.uint8 and frames.shape == (NUM_FRAMES, 32, 32, 3)
    np.testing.assert_array_equal(frames, expected)
    assert [number_of(frame) for frame in frames] == list(range(NUM_FRAMES))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(indices=st.lists(st.integers(0, NUM_FRAMES - 1), min_size=1, max_size=12))
def test_frames_are_read_in_any_order_and_repeatedly(video: Path, indices: list[int]):
    with VideoReader(video) as reader:
        assert [number_of(frame) for frame in reader.read(indices)] == indices


def test_a_reader_reads_more_than_once(video: Path):
    with VideoReader(str(video)) as reader:
        for indices in ([70, 3], [74], [0], [31, 30, 29]):
            assert [number_of(frame) for frame in reader.read(indices)] == indices


def test_repeated_frames_may_be_written_to_one_by_one(video: Path):
    with VideoReader(video) as reader:
        frames = reader.read([5, 5])
    frames[0] = 0
    assert number_of(frames[1]) == 5


@pytest.mark.parametrize(
    ("num_frames", "gop", "num_b_frames"), [(1, 30, 2), (2, 30, 2), (33, 1, 0), (90, 250, 7), (61, 30, 0)]
)
def test_any_structure_of_a_stream_is_read_exactly(tmp_path: Path, num_frames: int, gop: int, num_b_frames: int):
    path = write_video(tmp_path / "video.mp4", num_frames, gop=gop, num_b_frames=num_b_frames)
    with VideoReader(path) as reader:
        assert reader.num_frames == num_frames
        indices = [num_frames - 1, 0, num_frames // 2]
        assert [number_of(frame) for frame in reader.read(indices)] == indices


@pytest.mark.parametrize("suffix", ["mkv", "avi", "mov", "ts", "flv"])
def test_containers_of_other_kinds_are_read_exactly(tmp_path: Path, suffix: str):
    path = write_video(tmp_path / f"video.{suffix}", 40)
    with VideoReader(path) as reader:
        assert reader.num_frames == 40
        assert [number_of(frame) for frame in reader.read([39, 0, 31])] == [39, 0, 31]


def test_frames_keep_their_aspect_ratio(tmp_path: Path):
    with VideoReader(write_video(tmp_path / "wide.mp4", 3, height=48, width=84)) as reader:
        assert reader.read([1]).shape == (1, 48, 84, 3)


# Damage


def test_a_truncated_video_ends_before_its_first_damaged_frame(tmp_path: Path):
    path = truncate(write_video(tmp_path / "video.mp4", NUM_FRAMES, is_faststart=True), after_frames=50)
    with VideoReader(path) as reader:
        assert 49 <= reader.num_frames < NUM_FRAMES
        assert [number_of(frame) for frame in reader.read(range(reader.num_frames))] == list(range(reader.num_frames))
        assert reader.truncated.startswith("it has ")


def test_files_that_were_joined_have_one_size(tmp_path: Path):
    first = write_video(tmp_path / "first.ts", 10)
    second = write_video(tmp_path / "second.ts", 10, height=48, width=64)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with VideoReader(joined) as reader:
        assert [number_of(frame) for frame in reader.read([0, 9])] == [0, 9] and reader.resized == ""
        assert reader.read([15]).shape == (1, 32, 32, 3)
        assert reader.resized.startswith("its frames change their size, from 32 x 32 to 48 x 64 pixels")


@pytest.mark.parametrize("idx", [-1, NUM_FRAMES])
def test_an_index_out_of_range_is_a_mistake_of_the_caller(video: Path, idx: int):
    with VideoReader(video) as reader, pytest.raises(IndexError, match=rf"frame {idx} of .* is outside \[0, 75\)"):
        reader.read([0, idx])


@pytest.mark.parametrize("backend", ["pyav", "decord", "torchcodec"])
def test_a_codec_that_nobody_knows_is_told(backend: str, tmp_path: Path):
    """FFmpeg opens such a file, and PyAV then has no decoder at all."""
    path = rename_codec(write_video(tmp_path / "video.mp4", 4))
    with pytest.raises(VideoReadError, match="its video stream has a codec that FFmpeg does not know"):
        VideoReader(path) if backend == "pyav" else CheckedReader(path, backend=backend)
