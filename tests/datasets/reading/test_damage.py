"""Damaged pictures: what FFmpeg flags is not read unless asked for, and what is read is what a full decode gives."""

import random
from pathlib import Path

import av
import numpy as np
import pytest

from slowfast.datasets.reading.source import VideoReadError
from slowfast.datasets.reading.video_reader import VideoReader
from tests.full_decode import decode_in_full
from tests.odd_videos import MPEG4, write_stream, x264
from tests.videos import write_damaged_video

B_FRAMES = x264(keyint=12, bframes=3)


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
    pictures, _ = decode_in_full(path)
    assert [picture.packet for picture in pictures if picture.is_flagged] == [13]
    with VideoReader(path, allow_damaged=True) as reader:
        for idx in (13, 15, 19):
            np.testing.assert_array_equal(reader.read([idx])[0].numpy(), pictures[idx].rgb)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_frames_behind_a_missing_one_are_those_of_a_full_decode(tmp_path: Path, suffix: str):
    """The decoder makes up for it from pictures that nothing else needs, so these are decoded, too."""

    def without_a_reference(packets: list[av.Packet]) -> list[av.Packet]:
        return [packet for number, packet in enumerate(packets) if number != 5]

    path = write_stream(tmp_path / f"a.{suffix}", "libx264", 30, options=B_FRAMES, change=without_a_reference)
    for idx, picture in enumerate(decode_in_full(path)[0]):
        with VideoReader(path) as reader:
            assert not picture.is_flagged
            np.testing.assert_array_equal(reader.read([idx])[0].numpy(), picture.rgb, err_msg=f"frame {idx}")


@pytest.mark.parametrize("suffix", ["avi", "mp4"])
def test_damage_where_decoding_starts_is_noticed(tmp_path: Path, suffix: str):
    """The decoder of MPEG-4 flags it only in a picture that is not its first."""
    path = write_stream(tmp_path / f"a.{suffix}", "mpeg4", 30, options=MPEG4 | {"bf": "2"})
    with VideoReader(path) as reader:
        start = reader._index.starts[1]
        idx = reader._packet_of_frame.index(start)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][start]
        at, size = packet.pos + (8 if suffix == "avi" else 0), packet.size
    data, rng, num_flagged = path.read_bytes(), random.Random(0), 0
    for _ in range(12):
        place = at + rng.randrange(size // 2, size - 4)
        path.write_bytes(data[:place] + rng.randbytes(4) + data[place + 4 :])
        picture = next(picture for picture in decode_in_full(path)[0] if picture.packet == start)
        num_flagged += picture.is_flagged
        with VideoReader(path) as reader:
            if picture.is_flagged:
                with pytest.raises(VideoReadError, match=f"frame {idx} is damaged"):
                    reader.read([idx])
            else:
                np.testing.assert_array_equal(reader.read([idx])[0].numpy(), picture.rgb)
    assert num_flagged > 3
