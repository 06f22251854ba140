"""Files that were cut off or written over at random: read as a full decode gives them, or refused in one line."""

import random
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from slowfast.datasets.preparation.check_videos import check_video
from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from slowfast.datasets.records import VideoRecord
from tests.full_decode import Picture, decode_in_full
from tests.odd_videos import (
    MPEG4,
    VOP,
    VP8,
    VP9,
    X265,
    X265_PARAMS,
    without_first,
    write_stream,
    x264,
)
from tests.time_bound import within

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
    "VP8, webm": ("a.webm", "libvpx", VP8, {}),
    "VP9, webm": ("a.webm", "libvpx-vp9", VP9, {}),
    "MPEG-4, avi": ("a.avi", "mpeg4", MPEG4 | {"bf": "2"}, {}),
    "MPEG-4, mp4": ("a.mp4", "mpeg4", MPEG4 | {"bf": "2"}, {}),
}
NUM_FRAMES, HEIGHT, WIDTH = 40, 48, 64
NUM_FAST, NUM_SLOW = 8, 60


class Mutation:
    """One mutated file.

    Args:
        path: of the file.
        name: of the mutation, for messages.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        self.pictures, failed = decode_in_full(path)
        # A picture that nothing else needs is not decoded, so that its failure does not reach others, either.
        self.without_failed = decode_in_full(path, failed)[0] if failed else []

    def check(self, reader: VideoReader, indices: list[int]) -> int:
        """Read frames; returns how many were refused. None may differ from a full decode without a word."""
        try:
            frames = reader.read(indices).numpy()
        except VideoReadError:
            return len(indices)
        for idx, frame in zip(indices, frames, strict=True):
            expected = self._pictures_of(reader, idx)
            assert expected, f"{self.name}, frame {idx} is not shown"
            if any(picture.rgb.shape != self.pictures[0].rgb.shape for picture in expected):
                assert reader.resized, f"{self.name}, frame {idx}"
                continue
            packets = {picture.packet for picture in expected}
            expected += [picture for picture in self.without_failed if picture.packet in packets]
            same = [picture for picture in expected if np.array_equal(frame, picture.rgb)]
            assert same, f"{self.name}, frame {idx} differs"
            assert not all(picture.is_flagged for picture in same), f"{self.name}, frame {idx} is flagged"
        return 0

    def _pictures_of(self, reader: VideoReader, idx: int) -> list[Picture]:
        """What a full decode gives for a frame; by an index, a picture that gets lost leaves others their numbers."""
        if reader._index is None:
            return [self.pictures[idx]]
        return [picture for picture in self.pictures if picture.packet == reader._packet_of_frame[idx]]


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


def check_mutations(folder: Path, source: str, num_mutations: int, seed: str) -> None:
    """Read mutated files: frames one by one with fresh readers, then several with one reader."""
    name, codec, options, container_options = SOURCES[source]
    path = folder / name
    write_stream(
        path, codec, NUM_FRAMES, options=options, height=HEIGHT, width=WIDTH, container_options=container_options
    )
    data, rng = path.read_bytes(), random.Random(f"{seed} {source}")
    num_read = num_refused = 0
    for number in range(num_mutations):
        path.write_bytes(mutate(data, rng))
        with within(60, f"mutation {number}"):
            assert isinstance(check_video(VideoRecord(str(path), 0), open_source=VideoReader, num_frames=3), str)
            try:
                reader = VideoReader(path, apply_rotation=False)
            except VideoReadError:
                continue
            with reader:
                mutation = Mutation(path, f"mutation {number}")
                for _ in range(3):
                    with VideoReader(path, apply_rotation=False) as fresh:
                        num_refused += mutation.check(fresh, [rng.randrange(reader.num_frames)])
                    num_refused += mutation.check(reader, [rng.randrange(reader.num_frames) for _ in range(2)])
                    num_read += 3
    # Most mutations leave most frames whole.
    assert num_read > 3 * num_mutations and num_refused < num_read / 2


def from_packet(number: int, change: Callable[[list[av.Packet]], list[av.Packet]]):
    """Change the packets from one on."""
    return lambda packets: packets[:number] + change(packets[number:])


def shown_as_decoded(packets: list[av.Packet]) -> list[av.Packet]:
    """Times that ascend, as damage to a table of mp4 leaves them."""
    for packet, pts in zip(packets, sorted(packet.pts for packet in packets), strict=True):
        packet.pts = pts
    return packets


def rewritten(number: int, old: bytes, new: bytes) -> Callable[[list[av.Packet]], list[av.Packet]]:
    """Replace the first such bytes in a packet."""

    def change(packets: list[av.Packet]) -> list[av.Packet]:
        packet, data = packets[number], bytes(packets[number])
        assert old in data and len(old) == len(new)
        packet.update(data.replace(old, new, 1))
        return packets

    return change


# What mutations have done where frames differed from a full decode: source, and the change of its packets.
FOUND = {
    "times, H.264": ("H.264, mp4", from_packet(12, shown_as_decoded)),
    "times, open groups": ("H.264, open groups", from_packet(9, shown_as_decoded)),
    "times, HEVC": ("HEVC, mp4", from_packet(12, shown_as_decoded)),
    "a missing reference behind a key frame": ("H.264, mkv", from_packet(25, without_first(1))),
    "a picture that is not coded": ("MPEG-4, mp4", rewritten(28, VOP + b"\x52\xf1", VOP + b"\x52\xd1")),
    "another width": ("MPEG-4, avi", rewritten(1, b"\0\xcd\x02", b"\0\xcd\x04")),
}


@pytest.mark.parametrize("found", FOUND)
def test_damage_that_the_packets_of_a_frame_do_not_show(tmp_path: Path, found: str):
    source, change = FOUND[found]
    name, codec, options, _ = SOURCES[source]
    size = {"height": HEIGHT, "width": WIDTH}
    path = write_stream(tmp_path / name, codec, NUM_FRAMES, options=options, change=change, **size)
    pictures, _ = decode_in_full(path)
    for idx, picture in enumerate(pictures):
        with VideoReader(path, allow_damaged=True) as reader:
            assert reader.num_frames == len(pictures)
            frame = reader.read([idx])[0].numpy()
            if picture.rgb.shape != pictures[0].rgb.shape:
                assert reader.resized
                continue
            np.testing.assert_array_equal(frame, picture.rgb, err_msg=f"frame {idx}")


@pytest.mark.parametrize("source", SOURCES)
def test_frames_of_mutated_files_are_those_of_a_full_decode_or_refused(tmp_path: Path, source: str):
    check_mutations(tmp_path, source, NUM_FAST, "a few")


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_frames_of_many_mutated_files_are_those_of_a_full_decode_or_refused(tmp_path: Path, source: str):
    check_mutations(tmp_path, source, NUM_SLOW, "many")
