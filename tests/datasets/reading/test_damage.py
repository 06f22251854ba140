"""Damaged pictures: what FFmpeg flags is not read unless asked for, and what is read is what a full decode gives."""

import random
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest

from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from tests.odd_videos import MPEG4, VP9, X265, X265_PARAMS, write_stream, x264
from tests.videos import to_rgb, write_damaged_video

B_FRAMES = x264(keyint=12, bframes=3)
HEVC = X265 | {"x265-params": f"{X265_PARAMS}:open-gop=0"}
# Name of the file, encoder, its options, options of the container.
SOURCES = {
    "H.264, mp4": ("a.mp4", "libx264", B_FRAMES, {}),
    "H.264, faststart mp4": ("a.mp4", "libx264", B_FRAMES, {"movflags": "+faststart"}),
    "H.264, open groups": ("a.mp4", "libx264", x264(keyint=12, bframes=3, open_gop=1), {}),
    "H.264, mkv": ("a.mkv", "libx264", B_FRAMES, {}),
    "H.264, ts": ("a.ts", "libx264", B_FRAMES, {}),
    "HEVC, mp4": ("a.mp4", "libx265", HEVC, {}),
    "VP8, webm": ("a.webm", "libvpx", {"deadline": "realtime", "cpu-used": "8", "g": "15"}, {}),
    "VP9, webm": ("a.webm", "libvpx-vp9", VP9, {}),
    "MPEG-4, avi": ("a.avi", "mpeg4", MPEG4 | {"bf": "2"}, {}),
    "MPEG-4, mp4": ("a.mp4", "mpeg4", MPEG4 | {"bf": "2"}, {}),
}


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Cut the file off, or write random bytes into it, seldom into its first ones."""
    head = min(2000, len(data) // 4)
    if rng.random() < 0.15:
        return data[: rng.randrange(head, len(data))]
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(head if rng.random() < 0.9 else 0, len(data))
        size = rng.choice([1, 1, 4, 32])
        changed[at : at + size] = rng.randbytes(size)
    return bytes(changed)


def decode_pictures(path: Path, without: Collection[int] = ()) -> tuple[dict[int, tuple[np.ndarray, bool]], list[int]]:
    """A full decode in one thread.

    Args:
        path: of the file.
        without: packets to leave out.

    Returns:
        Number of the packet to its picture, and whether that is flagged, in order; and the packets that fail.
    """
    pictures, failed = {}, []
    with av.open(str(path)) as container:
        decoder = container.streams.video[0].codec_context
        decoder.thread_type, decoder.thread_count = "NONE", 1
        packets: list[av.Packet | None] = []
        with suppress(IndexError):  # PyAV's, where a stream appears midway
            packets.extend(packet for packet in container.demux(video=0) if packet.size)
        for number, packet in enumerate([*packets, None]):
            if packet is not None:
                packet.pts = number
            try:
                for frame in [] if number in without else decoder.decode(packet):
                    pictures[frame.pts] = to_rgb(frame), frame.is_corrupt
            except av.FFmpegError:
                failed.append(number)
    return pictures, failed


def check_mutations(folder: Path, source: str, num_mutations: int) -> int:
    """Read some frames of mutated files, one by one; returns how many frames were refused."""
    name, codec, options, container_options = SOURCES[source]
    path = write_stream(folder / name, codec, 50, options=options, container_options=container_options)
    data, rng, num_refused = path.read_bytes(), random.Random(source), 0
    for number in range(num_mutations):
        path.write_bytes(mutate(data, rng))
        try:
            reader = VideoReader(path)
        except VideoReadError:
            continue
        pictures, failed = decode_pictures(path)
        without_failed = decode_pictures(path, failed)[0] if failed else {}
        for idx in sorted({rng.randrange(reader.num_frames) for _ in range(6)}):
            packet = reader._index.packet_of_frame[idx] if reader._index else list(pictures)[idx]
            try:
                with VideoReader(path) as fresh:
                    frame = fresh.read([idx])[0].numpy()
            except VideoReadError:
                num_refused += 1
                continue
            # HEVC pictures may get lost without a flag, and then take no others' numbers.
            if packet not in pictures:
                continue
            expected, is_flagged = pictures[packet]
            # A picture that nothing else needs is not decoded, so that its failure does not reach others, either.
            if packet in without_failed and np.array_equal(frame, without_failed[packet][0]):
                continue
            assert not is_flagged, f"mutation {number}, frame {idx} is flagged"
            np.testing.assert_array_equal(frame, expected, err_msg=f"mutation {number}, frame {idx}")
        reader.close()
    return num_refused


@pytest.mark.parametrize("source", SOURCES)
def test_frames_of_mutated_files_are_those_of_a_full_decode_or_refused(tmp_path: Path, source: str):
    check_mutations(tmp_path, source, 8)


# Of this kind one frame in some hundreds differs from a full decode, which remembers damage of earlier groups.
REMEMBERS = pytest.mark.xfail(reason="MPEG-4 has no picture at which its decoder forgets everything", strict=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", [pytest.param(source, marks=REMEMBERS) if source.startswith("MPEG-4") else source for source in SOURCES]
)
def test_frames_of_many_mutated_files_are_those_of_a_full_decode_or_refused(tmp_path: Path, source: str):
    check_mutations(tmp_path, source, 60)


def test_a_damaged_frame_and_those_decoded_from_it_are_not_read(tmp_path: Path):
    path = write_damaged_video(tmp_path / "a.mp4", 30, gop=10, damaged=13)
    with VideoReader(path) as reader:
        assert reader.num_frames == 30 and reader.truncated == ""
        for idx in (13, 15):
            with pytest.raises(VideoReadError, match=r"frame 13.* damaged; DATA\.ALLOW_DAMAGED_FRAMES True"):
                reader.read([idx])
        with pytest.raises(VideoReadError, match="frame 15 is decoded from frame 13, which is damaged"):
            reader.read([15])
        assert reader.read([0, 12, 20, 29]).shape[0] == 4


def test_damaged_frames_are_read_as_a_full_decode_conceals_them_where_that_is_allowed(tmp_path: Path):
    path = write_damaged_video(tmp_path / "a.mp4", 30, gop=10, damaged=13)
    pictures, _ = decode_pictures(path)
    assert [number for number, (_, is_flagged) in pictures.items() if is_flagged] == [13]
    with VideoReader(path, allow_damaged=True) as reader:
        for idx in (13, 15, 19):
            np.testing.assert_array_equal(reader.read([idx])[0].numpy(), pictures[idx][0])


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_frames_behind_a_missing_one_are_those_of_a_full_decode(tmp_path: Path, suffix: str):
    """The decoder makes up for it from pictures that nothing else needs, so these are decoded, too."""

    def without_a_reference(packets: list[av.Packet]) -> list[av.Packet]:
        return [packet for number, packet in enumerate(packets) if number != 5]

    path = write_stream(tmp_path / f"a.{suffix}", "libx264", 30, options=B_FRAMES, change=without_a_reference)
    pictures = list(decode_pictures(path)[0].values())
    for idx, (expected, is_flagged) in enumerate(pictures):
        with VideoReader(path) as reader:
            assert not is_flagged
            np.testing.assert_array_equal(reader.read([idx])[0].numpy(), expected, err_msg=f"frame {idx}")
