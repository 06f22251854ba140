"""Files that are cut off are known to be, and healthy ones are not taken for such."""

import random
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from slowfast.datasets.preparation.check_videos import check_video
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.truncation import why_truncated
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import VideoRecord
from tests.odd_videos import INDEXED, MPEG4, NOT_INDEXED, VP9, X265, X265_PARAMS, write_stream, x264
from tests.videos import decode_all

NUM_FRAMES = 30
B_FRAMES = x264(keyint=12, bframes=3)
HEVC = X265 | {"x265-params": f"{X265_PARAMS}:open-gop=0"}
VP8 = {"deadline": "realtime", "cpu-used": "8", "g": "15", "crf": "20", "b": "400k"}
FASTSTART = {"movflags": "+faststart"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


def shown_late(packets: list[av.Packet]) -> list[av.Packet]:
    for packet in packets:
        ticks = round(3 / packet.time_base)
        packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
    return packets


# Suffix, encoder, its options and further arguments of ``write_stream``.
KINDS = {
    "H.264, faststart mp4": ("mp4", "libx264", B_FRAMES, {"container_options": FASTSTART}),
    "H.264, fragmented mp4": ("mp4", "libx264", B_FRAMES, {"container_options": FRAGMENTS}),
    "H.264, open groups, mkv": ("mkv", "libx264", x264(keyint=12, bframes=3, open_gop=1), {}),
    "H.264, live mkv": ("mkv", "libx264", B_FRAMES, {"container_options": {"live": "1"}}),
    "H.264, late, ts": ("ts", "libx264", B_FRAMES, {"change": shown_late}),
    "H.264, late, mkv": ("mkv", "libx264", B_FRAMES, {"change": shown_late}),
    "H.264, avi": ("avi", "libx264", x264(keyint=12, bframes=0), {}),
    "HEVC, ts": ("ts", "libx265", HEVC, {}),
    "HEVC, faststart mp4": ("mp4", "libx265", HEVC, {"container_options": FASTSTART}),
    "VP8, webm": ("webm", "libvpx", VP8, {}),
    "VP9, webm": ("webm", "libvpx-vp9", VP9, {}),
    "MPEG-4, avi": ("avi", "mpeg4", MPEG4 | {"bf": "2"}, {}),
    "MPEG-4, faststart mp4": ("mp4", "mpeg4", MPEG4 | {"bf": "2"}, {"container_options": FASTSTART}),
    "H.264, m2ts": ("m2ts", "libx264", B_FRAMES, {"container_options": {"mpegts_m2ts_mode": "1"}}),
    "WMV, asf": ("wmv", "wmv2", {"qscale": "5"}, {}),
    "VP8, ogg": ("ogv", "libvpx", VP8, {}),
}
SOUND = {"mp4": "aac", "mkv": "aac", "ts": "aac", "m2ts": "aac", "avi": "pcm_s16le", "webm": "libopus"}
SOUND |= {"wmv": "pcm_s16le", "ogv": "libopus"}


def write_kind(folder: Path, kind: str) -> Path:
    suffix, codec, options, arguments = KINDS[kind]
    return write_stream(folder / f"a.{suffix}", codec, NUM_FRAMES, options=options, **arguments)


def add_sound(source: Path, target: Path, seconds: float, container_options: dict[str, str]) -> Path:
    """Copy the pictures of a file, and put silence of another length beside them."""
    with av.open(str(source)) as reading, av.open(str(target), "w", options=container_options) as writing:
        video = writing.add_stream_from_template(reading.streams.video[0])
        sound = writing.add_stream(SOUND[target.suffix[1:]], rate=48000, layout="mono")
        packets = [packet for packet in reading.demux(video=0) if packet.size]
        for packet in packets:
            packet.stream = video
        size, form = sound.codec_context.frame_size or 1024, sound.codec_context.format.name
        dtype = np.float32 if "flt" in form else np.int16
        for i in range(int(seconds * 48000 / size)):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, size), dtype), format=form, layout="mono")
            frame.sample_rate, frame.pts = 48000, i * size
            packets += sound.encode(frame)
        packets += sound.encode()
        for packet in sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base):
            writing.mux(packet)
    return target


@pytest.mark.parametrize("kind", [*INDEXED, *NOT_INDEXED])
def test_a_healthy_file_is_not_called_truncated(odd_video: Callable[[str], Path], kind: str):
    with VideoReader(odd_video(kind)) as reader:
        assert reader.truncated == ""


@pytest.mark.parametrize("kind", KINDS)
def test_sound_of_another_length_is_no_truncation(tmp_path: Path, kind: str):
    silent = write_kind(tmp_path, kind)
    for seconds in (0.5, 3.5):
        path = add_sound(silent, tmp_path / f"b{silent.suffix}", seconds, KINDS[kind][3].get("container_options", {}))
        assert check_video(VideoRecord(str(path), 0), open_source=VideoReader) == "", seconds


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_anywhere_is_found_and_what_is_read_is_right(tmp_path: Path, kind: str):
    path = write_kind(tmp_path, kind)
    data, (expected, _) = path.read_bytes(), decode_all(path)
    rng = random.Random(kind)
    for _ in range(14):
        path.write_bytes(data[: rng.randrange(len(data) // 10, len(data))])
        assert check_video(VideoRecord(str(path), 0), open_source=VideoReader, num_frames=8) != ""
        try:
            reader = VideoReader(path)
        except VideoReadError:  # no frame is left
            continue
        with reader:
            assert reader.truncated
            frames = reader.read(range(reader.num_frames)).numpy()
        same = [(frame == whole).all() for frame, whole in zip(frames, expected, strict=False)]
        # Where a B picture waits for the missing one, the last frame may be a later one.
        assert all(same[:-4]), kind


def test_a_cut_animation_is_truncated(tmp_path: Path):
    path = write_stream(tmp_path / "a.gif", "gif", NUM_FRAMES, options={}, pix_fmt="rgb8")
    data = path.read_bytes()
    for content in (data, data + b"more", data[:-1]):  # the last byte only says that it is the last one
        path.write_bytes(content)
        assert check_video(VideoRecord(str(path), 0), open_source=VideoReader) == ""
    rng = random.Random(0)
    for _ in range(14):
        path.write_bytes(data[: rng.randrange(len(data) // 10, len(data) - 2)])
        assert "truncated" in check_video(VideoRecord(str(path), 0), open_source=VideoReader)


def test_an_avi_file_written_to_a_pipe_is_not_called_truncated(tmp_path: Path):
    """It cannot go back to its beginning: sizes and the number of frames stay what they were at the start."""

    class Pipe:
        def __init__(self) -> None:
            self.content = bytearray()

        def write(self, data: bytes) -> int:
            self.content += data
            return len(data)

    pipe = Pipe()
    with av.open(str(write_kind(tmp_path, "MPEG-4, avi"))) as source, av.open(pipe, "w", format="avi") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    path = tmp_path / "piped.avi"
    path.write_bytes(pipe.content)
    with av.open(str(path)) as container:
        assert container.duration > 2 * NUM_FRAMES / 25 * av.time_base
    with VideoReader(path) as reader:
        assert reader.truncated == "" and reader.num_frames == NUM_FRAMES


def test_a_file_whose_end_is_zeros_is_truncated(tmp_path: Path):
    """As of a download that was given its size at the start."""
    path = write_stream(tmp_path / "a.mkv", "libx264", 60, options=B_FRAMES)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3].ljust(len(data), b"\0"))
    with VideoReader(path) as reader:
        assert reader.truncated.startswith("its packets end at 0.") and "lasts 2.4" in reader.truncated
        assert reader.num_frames < 30


def test_junk_behind_a_whole_file_is_none_of_it(tmp_path: Path):
    for kind in ("H.264, faststart mp4", "VP9, webm", "MPEG-4, avi"):
        path = write_kind(tmp_path, kind)
        path.write_bytes(path.read_bytes() + random.Random(0).randbytes(5000))
        with VideoReader(path) as reader:
            assert reader.truncated == "" and reader.num_frames == NUM_FRAMES


def test_a_file_that_does_not_tell_is_not_called_truncated(tmp_path: Path):
    path = tmp_path / "a.h264"
    path.write_bytes(b"\0\0\1" * 50)
    assert why_truncated(path, "h264", stated_end_s=5.0, last_end_s=1.0) == ""
    assert why_truncated(path, "matroska,webm", stated_end_s=None, last_end_s=1.0) == ""
    assert why_truncated(path, "flv", stated_end_s=5.0, last_end_s=4.5) == ""
    assert why_truncated(path, "flv", stated_end_s=5.0, last_end_s=1.0) == (
        "its packets end at 1.00 s, and it says that it lasts 5.00 s"
    )
