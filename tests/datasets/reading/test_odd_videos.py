"""Frames of files as they are found in the wild are those of a full decode, whichever are wanted."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from slowfast.datasets.reading import stream_packets
from slowfast.datasets.reading.video_reader import VideoReader
from tests.odd_videos import H264_STRUCTURES, INDEXED, NOT_INDEXED, NUM_FRAMES, write_stream, x264
from tests.videos import decode_all


def check_against_full_decode(path: Path, *, num_draws: int = 6, seed: int = 0) -> int:
    """Compare all frames, as stored, then random choices of a fresh reader; returns the number of frames."""
    expected, _ = decode_all(path)
    rng = np.random.default_rng(seed)
    with VideoReader(path, apply_rotation=False) as reader:
        assert reader.num_frames == len(expected)
        np.testing.assert_array_equal(reader.read(range(len(expected))), expected)
    with VideoReader(path, apply_rotation=False) as reader:
        for _ in range(num_draws):
            indices = rng.integers(len(expected), size=rng.integers(1, 6)).tolist()
            np.testing.assert_array_equal(reader.read(indices), expected[indices], err_msg=f"frames {indices}")
    return len(expected)


@pytest.mark.parametrize("kind", INDEXED)
def test_frames_are_those_of_a_full_decode(odd_video: Callable[[str], Path], kind: str, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("everything is decoded")

    monkeypatch.setattr(VideoReader, "_decode_all", refuse)
    assert check_against_full_decode(odd_video(kind)) >= NUM_FRAMES - 14


@pytest.mark.parametrize("kind", NOT_INDEXED)
def test_frames_that_only_a_full_decode_tells_are_those_of_one(odd_video: Callable[[str], Path], kind: str):
    path = odd_video(kind)
    with VideoReader(path) as reader:
        assert reader._index is None
    assert check_against_full_decode(path, num_draws=4) > 20


def test_an_edit_list_hides_frames(odd_video: Callable[[str], Path]):
    with VideoReader(odd_video("H.264, edit list")) as reader:
        assert reader.num_frames == NUM_FRAMES - 5


def test_hidden_frames_of_vp9_do_not_count(odd_video: Callable[[str], Path]):
    path = odd_video("VP9 with hidden frames")
    with av.open(str(path)) as container:
        num_packets = sum(1 for packet in container.demux(video=0) if packet.size)
    with VideoReader(path) as reader:
        assert reader.num_frames == num_packets == NUM_FRAMES


def test_sound_beside_the_frames_does_not_matter(odd_video: Callable[[str], Path], tmp_path: Path):
    path = tmp_path / "a.mp4"
    with av.open(str(odd_video("H.264"))) as source, av.open(str(path), "w") as target:
        sound = target.add_stream("aac", rate=16000)
        video = target.add_stream_from_template(source.streams.video[0])
        for i, packet in enumerate(source.demux(video=0)):
            if packet.dts is None:
                continue
            packet.stream = video
            target.mux(packet)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 640), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, 640 * i
            target.mux(sound.encode(frame))
        target.mux(sound.encode())
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["audio", "video"]
    assert check_against_full_decode(path) == NUM_FRAMES


def test_frames_that_nobody_needs_are_not_decoded(tmp_path: Path):
    options = x264(keyint=12, bframes=3, b_pyramid="none")
    with VideoReader(write_stream(tmp_path / "a.mp4", "libx264", 12, options=options)) as reader:
        assert reader._index.packet_of_frame == [0, 2, 3, 4, 1, 6, 7, 8, 5, 10, 11, 9]
        assert reader._index.spans([9]) == [(0, 9)]
        assert [frame.pts for frame in reader._decode([(0, 9)], wanted={9})] == [0, 1, 5, 9]


def test_packets_of_large_streams_are_not_kept(odd_video: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch):
    path = odd_video("H.264")
    monkeypatch.setattr(stream_packets, "MAX_KEPT_BYTES", path.stat().st_size // 2)
    assert check_against_full_decode(path) == NUM_FRAMES


def test_what_contradicts_the_index_is_decoded_from_the_start(odd_video: Callable[[str], Path]):
    """An index made wrong on purpose is found out, and costs time only."""
    path = odd_video("H.264")
    expected, _ = decode_all(path)
    with VideoReader(path) as reader:
        packets = reader._index.packet_of_frame
        packets[20], packets[21] = packets[21], packets[20]
        reader._index.place[packets[20]], reader._index.place[packets[21]] = 20, 21
        np.testing.assert_array_equal(reader.read([19, 20, 21, 22]), expected[19:23])


# Any structure of an H.264 stream


def check_structure(folder: Path, suffix: str, num_frames: int, structure: dict, times_ms: list[int] | None) -> None:
    path = folder / f"a.{suffix}"
    write_stream(path, "libx264", num_frames, options=x264(**structure), height=32, width=48, times_ms=times_ms)
    assert check_against_full_decode(path, num_draws=6) == num_frames


arguments = {
    "suffix": st.sampled_from(["mp4", "mkv", "mov", "flv", "avi"]),
    "num_frames": st.sampled_from([1, 2, 3, 9, 24]),
    "structure": H264_STRUCTURES,
}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(**arguments)
@example(
    suffix="mp4",
    num_frames=24,
    structure={"keyint": 5, "bframes": 3, "open_gop": 1, "b_pyramid": "normal", "ref": 4},
)
def test_any_structure_is_read_exactly(tmp_path: Path, suffix: str, num_frames: int, structure: dict):
    check_structure(tmp_path, suffix, num_frames, structure, None)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(**arguments, steps_ms=st.lists(st.integers(1, 90), min_size=24, max_size=24))
def test_many_structures_are_read_exactly(
    tmp_path: Path, suffix: str, num_frames: int, structure: dict, steps_ms: list[int]
):
    times_ms = None if suffix == "avi" else np.cumsum(steps_ms)[:num_frames].tolist()
    check_structure(tmp_path, suffix, num_frames, structure, times_ms)
