"""What FFmpeg's own program shows for a file is what is read: which stream, which way up, which colours, which size."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.stream import Disposition

from slowfast.datasets.preparation.check_videos import check_video
from slowfast.datasets.preparation.transcode import Settings, transcode_video
from slowfast.datasets.reading import backends
from slowfast.datasets.reading.backends import CheckedReader
from slowfast.datasets.reading.frame_rate import ResampledReader
from slowfast.datasets.reading.orientation import UPRIGHT, Orientation, frame_orientation, matrix_orientation
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import VideoRecord
from tests.ffmpeg_program import needs_ffmpeg, shown_by_ffmpeg
from tests.odd_videos import (
    IN_BAND_H264,
    MPEG4,
    ORIENTATIONS,
    SIZES,
    VP9,
    noisy_frame,
    turn,
    write_sizes,
    write_stream,
    x264,
)
from tests.videos import decode_all, number_of

B_FRAMES = x264(keyint=12, bframes=3)


def read_all(path: Path, **arguments) -> np.ndarray:
    with VideoReader(path, **arguments) as reader:
        return reader.read(range(reader.num_frames)).numpy()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file without a word about its orientation; tests must not change it."""
    return write_stream(tmp_path_factory.mktemp("stored") / "a.mp4", "libx264", 14, options=B_FRAMES)


@pytest.fixture
def turned(stored: Path, tmp_path: Path) -> Callable[[str], Path]:
    """The same frames, to be turned; always in the same file."""

    def write(name: str) -> Path:
        path = tmp_path / "a.mp4"
        path.write_bytes(stored.read_bytes())
        return turn(path, *ORIENTATIONS[name][0])

    return write


# Orientation


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_frames_are_turned_and_mirrored_as_the_file_says(turned: Callable[[str], Path], name: str):
    path = turned(name)
    as_stored, _ = decode_all(path)
    np.testing.assert_array_equal(read_all(path), ORIENTATIONS[name][1](as_stored))
    np.testing.assert_array_equal(read_all(path, apply_rotation=False), as_stored)


@needs_ffmpeg
@pytest.mark.parametrize("name", ORIENTATIONS)
def test_turned_frames_are_those_that_the_program_shows(turned: Callable[[str], Path], name: str):
    frames = read_all(turned(name))
    np.testing.assert_array_equal(frames, shown_by_ffmpeg(turned(name), *frames.shape[1:3]))


def test_an_odd_angle_is_refused_unless_rotation_is_not_applied(stored: Path, tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(stored.read_bytes())
    turn(path, 0.8, 0.6, -0.6, 0.8)
    with VideoReader(path) as reader, pytest.raises(VideoReadError) as error:
        reader.read([0])
    assert str(error.value) == (
        "its frames are to be shown turned by 37 degrees; accepted: multiples of 90; DATA.APPLY_ROTATION False reads "
        "them as they are stored"
    )
    np.testing.assert_array_equal(read_all(path, apply_rotation=False), decode_all(path)[0])


@pytest.mark.parametrize("matrix", [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 1)])
def test_a_matrix_that_shows_nothing_is_left_out_as_by_ffmpeg(matrix: tuple[int, int, int, int]):
    m0, m1, m3, m4 = matrix
    assert matrix_orientation([m0, m1, 0, m3, m4, 0, 0, 0, 1]) == UPRIGHT


def test_scales_and_angles_within_half_a_degree_count_as_none():
    assert matrix_orientation([3, 0, 0, 0, 2, 0, 0, 0, 1]) == UPRIGHT
    assert matrix_orientation([5, 1000, 0, -1000, 5, 0, 0, 0, 1]) == Orientation(True, False, True)


class FrameWithUnknownData(SimpleNamespace):
    """As PyAV gives one that carries a kind of data that it has no name for."""

    @property
    def side_data(self) -> None:
        raise ValueError("30 is not a valid Type")


def test_a_matrix_that_pyav_cannot_tell_is_no_silent_guess():
    assert frame_orientation(FrameWithUnknownData(rotation=0)) == UPRIGHT
    with pytest.raises(VideoReadError, match=r"by 180 degrees or mirrored, PyAV cannot tell; DATA.APPLY"):
        frame_orientation(FrameWithUnknownData(rotation=180))


def test_every_reader_turns_frames_or_refuses(turned: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch):
    path = turned("left to right")
    expected, as_stored = read_all(path), decode_all(path)[0]
    with ResampledReader(path, open_file=VideoReader, fps=25) as video:
        np.testing.assert_array_equal(video.read(range(14)).numpy(), expected)
    assert check_video(VideoRecord(str(path), 0), open_source=VideoReader) == ""
    # One that turns them as we do, and one that does not.
    for frames in (expected, as_stored):
        monkeypatch.setitem(backends._OPEN, "decord", lambda path, frames=frames: (14, lambda indices: frames[indices]))
        for apply_rotation in (True, False):
            with pytest.raises(VideoReadError, match="is not exact for frames that are to be turned or mirrored"):
                CheckedReader(path, backend="decord", apply_rotation=apply_rotation)


@pytest.mark.parametrize("name", ["clockwise", "left to right", "across the diagonal"])
def test_transcoding_turns_frames_once(turned: Callable[[str], Path], tmp_path: Path, name: str):
    path, target = turned(name), tmp_path / "out" / "a.mp4"
    assert transcode_video((str(path), str(target)), settings=Settings(short_side=64, crf=4)) == ""
    expected = read_all(path)
    for apply_rotation in (True, False):
        frames = read_all(target, apply_rotation=apply_rotation)
        assert frames.shape == expected.shape
        assert np.abs(frames.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("colours", [{"fullrange": "on"}, {"colormatrix": "bt709"}])
def test_transcoding_keeps_colours_that_the_file_describes(tmp_path: Path, colours: dict[str, str]):
    path, target = tmp_path / "a.mp4", tmp_path / "out" / "a.mp4"
    squares = np.random.default_rng(0).integers(0, 256, (4, 8, 12, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=x264(crf=10, **colours))
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for square in squares:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(square, format="rgb24")))
        container.mux(stream.encode())
    assert transcode_video((str(path), str(target)), settings=Settings(short_side=64, crf=10)) == ""
    # It was 6 to 10 where the description was left out.
    assert np.abs(read_all(path).astype(int) - read_all(target)).mean() < 4


# Stream


def write_streams(path: Path, streams: list[tuple[str, int, int, int]]) -> Path:
    """Streams of 5 frames by (codec, height, width, disposition); stream i shows the number 100 i."""
    with av.open(str(path), "w") as container:
        opened = []
        for codec, height, width, disposition in streams:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width = height, width
            stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
            stream.disposition = disposition
            opened.append(stream)
        packets = []
        for i, (stream, (_, height, width, disposition)) in enumerate(zip(opened, streams, strict=True)):
            for _ in range(1 if disposition & Disposition.attached_pic.value else 5):
                frame = av.VideoFrame.from_ndarray(noisy_frame(100 * i, height, width), format="rgb24")
                packets += stream.encode(frame)
            packets += stream.encode()
        for packet in packets:
            container.mux(packet)
    return path


STREAMS = {
    "the largest": ("a.mkv", [("mpeg4", 32, 48, 0), ("mpeg4", 64, 96, 0), ("mpeg4", 48, 64, 0)], 1),
    "the default": ("a.mkv", [("mpeg4", 64, 96, 0), ("mpeg4", 32, 48, Disposition.default.value)], 1),
    "the first of two": ("a.mkv", [("mpeg4", 64, 96, 0), ("mpeg4", 64, 96, 0)], 0),
    "not a cover before it": ("a.mp4", [("png", 128, 128, Disposition.attached_pic.value), ("mpeg4", 32, 48, 0)], 1),
    "not a cover behind it": ("a.mp4", [("mpeg4", 32, 48, 0), ("mjpeg", 128, 128, Disposition.attached_pic.value)], 0),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_the_stream_is_the_one_that_the_program_takes(tmp_path: Path, kind: str):
    name, streams, number = STREAMS[kind]
    path = write_streams(tmp_path / name, streams)
    frames = read_all(path)
    assert frames.shape == (5, *streams[number][1:3], 3)
    assert {number_of(frame) for frame in frames} == {100 * number}


@needs_ffmpeg
@pytest.mark.parametrize("kind", STREAMS)
def test_the_frames_of_that_stream_are_those_that_the_program_shows(tmp_path: Path, kind: str):
    name, streams, number = STREAMS[kind]
    path = write_streams(tmp_path / name, streams)
    np.testing.assert_array_equal(read_all(path), shown_by_ffmpeg(path, *streams[number][1:3]))


def test_a_cover_alone_is_no_video(tmp_path: Path):
    path = write_streams(tmp_path / "a.mp4", [("png", 128, 128, Disposition.attached_pic.value)])
    with pytest.raises(VideoReadError, match="has no video stream but a cover picture"):
        VideoReader(path)


def test_a_codec_that_is_unknown_is_said_to_be(stored: Path, tmp_path: Path):
    data = stored.read_bytes()
    at = data.rindex(b"avc1")
    (tmp_path / "a.mp4").write_bytes(data[:at] + b"xxxx" + data[at + 4 :])
    with pytest.raises(VideoReadError, match="its video stream has a codec that FFmpeg does not know"):
        VideoReader(tmp_path / "a.mp4")


# Colours


def colours(name: str, codec: str, options: dict[str, str], pix_fmt: str, **sizes: int) -> tuple:
    return name, codec, options, {"pix_fmt": pix_fmt, **sizes}


COLOURS = {
    "full range": colours("a.mp4", "libx264", x264(fullrange="on"), "yuv420p"),
    "BT.709": colours("a.mp4", "libx264", x264(colormatrix="bt709"), "yuv420p"),
    "4:2:2": colours("a.mp4", "libx264", x264(), "yuv422p"),
    "4:4:4, odd size": colours("a.mp4", "libx264", x264(), "yuv444p", height=65, width=83),
    "4:2:0, odd size": colours("a.webm", "libvpx-vp9", VP9, "yuv420p", height=65, width=83),
    "4:1:1": colours("a.mkv", "ffv1", {}, "yuv411p"),
    "10 bits": colours("a.mp4", "libx264", x264(), "yuv420p10le"),
    "10 bits, 4:2:2": colours("a.mp4", "libx264", x264(), "yuv422p10le"),
    "10 bits, BT.709": colours("a.mp4", "libx264", x264(fullrange="on", colormatrix="bt709"), "yuv420p10le"),
    "ProRes with alpha": colours("a.mov", "prores_ks", {"profile": "4444"}, "yuva444p10le"),
    "MJPEG": colours("a.avi", "mjpeg", {}, "yuvj422p"),
    "grey": colours("a.mkv", "ffv1", {}, "gray"),
    "16-bit grey": colours("a.mkv", "ffv1", {}, "gray16le"),
    "alpha": colours("a.mov", "png", {}, "rgba"),
    "black and white": colours("a.mov", "png", {}, "monob"),
    "palette": colours("a.mov", "qtrle", {}, "argb"),
    "GIF": colours("a.gif", "gif", {}, "rgb8"),
    "MPEG-4": colours("a.avi", "mpeg4", MPEG4, "yuv420p"),
    "interlaced": colours("a.mp4", "libx264", x264(interlaced=1), "yuv420p"),
    "interlaced MPEG-2": colours("a.ts", "mpeg2video", {"flags": "+ildct+ilme"}, "yuv420p"),
    "BT.2020, constant luminance": colours("a.mp4", "libx264", x264(colormatrix="bt2020c"), "yuv420p"),
}


@needs_ffmpeg
@pytest.mark.parametrize("kind", COLOURS)
def test_colours_are_those_that_the_program_shows(tmp_path: Path, kind: str):
    name, codec, options, arguments = COLOURS[kind]
    path = write_stream(tmp_path / name, codec, 3, options=options, **arguments)
    frames = read_all(path)
    np.testing.assert_array_equal(frames, shown_by_ffmpeg(path, *frames.shape[1:3]))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_colours_that_ffmpeg_does_not_convert_are_refused(tmp_path: Path, pix_fmt: str):
    path = write_stream(tmp_path / "a.mp4", "libx264", 3, options=x264(colormatrix="YCgCo"), pix_fmt=pix_fmt)
    told = rf"FFmpeg does not convert its colours \(pixel format {pix_fmt}, matrix 8\): Operation not supported"
    with VideoReader(path) as reader, pytest.raises(VideoReadError, match=told):
        reader.read([1])


# Size


@pytest.mark.parametrize("kind", SIZES)
def test_frames_of_other_sizes_are_scaled_to_the_first(odd_video: Callable[[str], Path], kind: str):
    path = odd_video(kind)
    with VideoReader(path) as reader:
        assert reader.num_frames == 30
        assert reader.read([0, 9]).shape == (2, 64, 96, 3) and reader.resized == ""
        frames = reader.read([5, 15, 25])
        assert frames.shape == (3, 64, 96, 3) and [number_of(frame) for frame in frames] == [5, 5, 5]
        assert reader.resized == (
            "its frames change their size, from 64 x 96 to 96 x 128 pixels, and are scaled to that of the first"
        )
    with VideoReader(path) as reader:  # none of the first size
        assert (reader.read([15])[0] == frames[1]).all()
    with ResampledReader(path, open_file=VideoReader, fps=25) as video:
        assert (video.read([15])[0] == frames[1]).all() and video.resized


@needs_ffmpeg
@pytest.mark.parametrize("kind", SIZES)
def test_scaled_frames_are_those_that_the_program_shows(odd_video: Callable[[str], Path], kind: str):
    np.testing.assert_array_equal(read_all(odd_video(kind)), shown_by_ffmpeg(odd_video(kind), 64, 96))


@needs_ffmpeg
def test_frames_are_turned_before_they_are_scaled(tmp_path: Path):
    path = turn(write_sizes(tmp_path / "a.mp4", "libx264", IN_BAND_H264), *ORIENTATIONS["clockwise"][0])
    frames, expected = read_all(path), shown_by_ffmpeg(path, 96, 64)
    # The program turns the planes of colours, which are scaled otherwise along than across.
    assert np.abs(frames.astype(int) - expected).mean() < 1
    np.testing.assert_array_equal(frames[:10], expected[:10])
