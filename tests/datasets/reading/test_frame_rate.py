"""Files read at another rate: their frames are those that the real ``ffmpeg -r`` writes."""

import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from slowfast.datasets.reading.backends import video_reader
from slowfast.datasets.reading.frame_rate import FrameTimes, ResampledReader, resampled_indices
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from tests.videos import number_of, numbered_frame

MILLISECOND = Fraction(1, 1000)
CODECS = {".webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}), ".mp4": ("libx264", {"preset": "fast"})}
RATES = [12, 24, 25, Fraction(30000, 1001), 30, 60]
# Of frames that are shown for 10 to 400 ms.
IRREGULAR_MS = [0, 41, 51, 251, 284, 294, 304, 704, 737, 820, 903, 913, 1313, 1396, 1429, 1439, 1449, 1459, 1859, 1900]


def write_numbered(path: Path, fps: Fraction | int, num_frames: int, times_ms: list[int] | None = None) -> Path:
    """A file whose frame i shows the number i, at a constant rate or at given times."""
    codec, options = CODECS[path.suffix]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        if times_ms is not None:
            stream.codec_context.time_base = MILLISECOND
        for i in range(num_frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(i), format="rgb24")
            if times_ms is not None:
                frame.pts, frame.time_base = times_ms[i], MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read_at(path: Path, fps: float, backend: str = "pyav") -> list[int]:
    """The numbers that the frames show."""
    with ResampledReader(path, open_file=video_reader(backend), fps=fps) as video:
        return [number_of(frame) for frame in video.read(range(video.num_frames)).numpy()]


def extract(path: Path, fps: Fraction | int, folder: Path) -> list[int]:
    """The numbers that the pictures show which the program writes."""
    folder.mkdir()
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-r", str(fps), "-q:v", "1", folder / "%06d.jpg"]
    subprocess.run(command, check=True)
    return [number_of(np.asarray(Image.open(picture))) for picture in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def ffmpeg() -> None:
    """The program, of a version whose rule is ours: newer ones no longer round how long a frame is shown."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no program ffmpeg")
    told = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    version = re.match(r"ffmpeg version n?(\d+)", told)
    if version is None or int(version[1]) > 5:
        pytest.skip(f"{told.splitlines()[0][:40]} has another rule than version 5.1")


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("fps", RATES, ids=str)
def test_frames_are_those_that_the_program_extracts(fps: Fraction | int, suffix: str, tmp_path: Path):
    path = write_numbered(tmp_path / f"video{suffix}", fps, 25)

    assert read_at(path, 30) == extract(path, 30, tmp_path / "30")
    assert read_at(path, 12) == extract(path, 12, tmp_path / "12")


@pytest.mark.usefixtures("ffmpeg")
def test_frames_at_irregular_times_are_those_that_the_program_extracts(tmp_path: Path):
    path = write_numbered(tmp_path / "video.webm", 12, len(IRREGULAR_MS), IRREGULAR_MS)

    for fps in (30, Fraction(30000, 1001)):
        assert read_at(path, fps) == extract(path, fps, tmp_path / str(fps).replace("/", "_"))


def constant(fps: Fraction | int, num_frames: int, *, begin_ms: int = 0) -> FrameTimes:
    """As a .webm file tells it: in whole milliseconds."""
    shown = [begin_ms + round(1000 * i / fps) for i in range(num_frames)]
    return FrameTimes(shown, [int(1000 / fps)] * num_frames, MILLISECOND, Fraction(fps))


def test_twelve_frames_per_second_at_thirty():
    """Recorded from the program, version 5.1."""
    assert resampled_indices(constant(12, 9), 30) == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7, 7, 8, 8, 8]


@given(st.sampled_from(RATES), st.integers(1, 80))
def test_a_video_at_its_own_rate_stays_as_it_is(fps: Fraction | int, num_frames: int):
    assert resampled_indices(constant(fps, num_frames), fps) == list(range(num_frames))


@given(
    st.lists(st.integers(1, 2000), min_size=1, max_size=60),
    st.sampled_from([Fraction(12), Fraction(30), Fraction(30000, 1001)]),
)
def test_indices_ascend_within_the_video_and_take_as_long_as_it_does(durations: list[int], fps: Fraction):
    shown = [sum(durations[:i]) for i in range(len(durations))]
    indices = resampled_indices(FrameTimes(shown, durations, MILLISECOND, Fraction(12)), fps)

    assert indices[0] == 0 and indices == sorted(indices)
    assert 0 <= indices[-1] < len(durations)
    # The end is not exact: the last frame is shown for whole ticks, and may be repeated as often as one before it.
    num_ticks = sum(durations) * MILLISECOND * fps
    longest = max(durations) * MILLISECOND * fps
    assert num_ticks - 2 <= len(indices) <= num_ticks + longest + 2


@given(st.integers(1, 60), st.integers(1, 120))
def test_a_constant_rate_repeats_and_leaves_out_evenly(fps: int, num_frames: int):
    indices = resampled_indices(constant(fps, num_frames), 30)
    counts = [indices.count(i) for i in range(num_frames)][1:-1]

    assert abs(len(indices) - num_frames * 30 / fps) <= 2 + 30 / fps
    assert all(abs(count - 30 / fps) < 2 for count in counts)


def test_a_frame_that_would_be_repeated_for_two_days_is_left_out():
    days = FrameTimes([0, 100, 200_000_000], [100, 100, 100], MILLISECOND, Fraction(10))

    assert resampled_indices(days, 30) == [0, 0, 0, 1, 1, 1]


def test_each_frame_of_the_file_is_decoded_once_and_any_order_may_be_asked_for(tmp_path: Path):
    path = write_numbered(tmp_path / "video.webm", 12, 9)
    with ResampledReader(path, open_file=VideoReader, fps=30) as video:
        assert video.num_frames == 22
        frames = video.read([20, 0, 1, 4, 5, 6]).numpy()
        with pytest.raises(IndexError, match=r"frame 22 of .*video.webm is outside \[0, 22\)"):
            video.read([22])
    assert [number_of(frame) for frame in frames] == [8, 0, 0, 2, 2, 2]


def test_a_file_that_does_not_say_when_its_frames_are_shown_is_unreadable(tmp_path: Path):
    path = write_numbered(tmp_path / "video.mp4", 30, 4)

    def open_timeless(path: str) -> VideoReader:
        video = VideoReader(path)
        video._stream._times[2] = None
        return video

    with pytest.raises(VideoReadError, match=r"does not say when its frames are shown; DATA.STH_VIDEO_FPS 0 reads it"):
        ResampledReader(path, open_file=open_timeless, fps=30)
